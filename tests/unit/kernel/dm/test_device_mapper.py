"""What is refused before the kernel is asked: none of these tests opens a control node."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import DeviceNumber, TableLine, Uuid
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

Call = Callable[[KernelDeviceMapper], object]


def _mapper() -> KernelDeviceMapper:
    return KernelDeviceMapper("/nonexistent/control")


@pytest.mark.parametrize(
    "call",
    [
        lambda dm: dm.create("a/b"),
        lambda dm: dm.create(""),
        lambda dm: dm.create("n" * 128),
        lambda dm: dm.create("é" * 64),
        lambda dm: dm.create("a\0b"),
        lambda dm: dm.create("name", "u" * 129),
        lambda dm: dm.create("name", minor=1 << 20),
        lambda dm: dm.create("name", minor=-1),
        lambda dm: dm.rename("one", "a/b"),
        lambda dm: dm.rename("one", "n" * 128),
        lambda dm: dm.set_uuid("one", ""),
        lambda dm: dm.message("one", "a\0b"),
        lambda dm: dm.message("one", "a", sector=-1),
        lambda dm: dm.load("one", [TableLine(0, 8, "a-target-of-16-by")]),
        lambda dm: dm.load("one", [TableLine(-8, 8, "zero")]),
        lambda dm: dm.load("one", [TableLine(0, 1 << 64, "zero")]),
        lambda dm: dm.load("one", [TableLine(0, 8, "linear", "7:0\0 0")]),
    ],
)
def test_what_the_kernel_would_cut_off_or_misread_is_einval(call: Call) -> None:
    with pytest.raises(KernelError) as caught:
        call(_mapper())
    assert caught.value.errno == errno.EINVAL
    assert caught.value.hint


@pytest.mark.parametrize("ref", ["", "n" * 128, "a\0b", Uuid(""), Uuid("u" * 129), DeviceNumber(4096, 0)])
def test_a_reference_that_no_device_can_have_is_enxio(ref: str | Uuid | DeviceNumber) -> None:
    with pytest.raises(KernelError) as caught:
        _mapper().info(ref)
    assert caught.value.errno == errno.ENXIO
    assert caught.value.operation == "info"


def test_building_one_and_closing_it_does_nothing() -> None:
    _mapper().close()
