"""The conformance check, on the real LIO of a guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from drystone.kernel import loop
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.testing.lio import CHECKS, LioBench

pytestmark = pytest.mark.lab(memory="192M")


@contextmanager
def hold(number: DeviceNumber) -> Iterator[None]:
    with open_device(device_path(number), exclusive=True):
        yield


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, DeviceNumber]]]:
    folder: Path = tmp_path_factory.mktemp("disks")
    with ExitStack() as stack:
        found = []
        for at in range(2):
            file = folder / str(at)
            file.write_bytes(bytes(4 << 20))
            made = stack.enter_context(loop.hold(str(file)))
            found.append((made.path, made.number))
        yield found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[LioBench], None], devices: list[tuple[str, DeviceNumber]]) -> None:
    with LioBench(ConfigfsLio(), devices, hold) as bench:
        check(bench)
