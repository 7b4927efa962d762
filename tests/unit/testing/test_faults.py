from __future__ import annotations

import errno

import pytest

from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import DeviceMapper, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import FaultyDeviceMapper, Killed, fail_always, fail_calls, fail_from, kill_at


def test_a_failed_call_changes_nothing_and_is_counted() -> None:
    inner = SimulatedDeviceMapper()
    dm = FaultyDeviceMapper(inner, fail_calls({1: errno.EIO, 3: errno.ENOMEM}))
    with pytest.raises(KernelError, match="EIO"):
        dm.create("a")
    assert dm.list_devices() == []
    dm.create("a")
    with pytest.raises(KernelError, match="ENOMEM"):
        dm.remove("a")
    assert [(call.count, call.operation) for call in dm.calls] == [(1, "create"), (2, "create"), (3, "remove")]


def test_a_late_resume_has_swapped_and_stays_suspended() -> None:
    dm = FaultyDeviceMapper(SimulatedDeviceMapper(), fail_calls({3: errno.EIO}, is_late=True))
    dm.create("a")
    dm.load("a", [TableLine(0, 8, "zero")])
    with pytest.raises(KernelError):
        dm.resume("a")
    assert dm.info("a").suspended
    assert dm.table("a") == [TableLine(0, 8, "zero")]
    assert not dm.info("a").inactive_table


def test_maps() -> None:
    inner = SimulatedDeviceMapper()
    inner.create("a")
    for faults in (fail_always("clear"), fail_from(1)):
        with pytest.raises(KernelError):
            FaultyDeviceMapper(inner, faults).clear("a")
    FaultyDeviceMapper(inner, fail_always("clear", first=2)).clear("a")
    with pytest.raises(Killed):
        FaultyDeviceMapper(inner, kill_at(1)).remove("a")
    assert inner.info("a").name == "a"


def test_it_is_a_device_mapper() -> None:
    inner = SimulatedDeviceMapper()
    dm: DeviceMapper = FaultyDeviceMapper(inner)
    dm.create("a")
    dm.set_uuid("a", "U")
    dm.rename("a", "b")
    dm.load("b", [TableLine(0, 8, "zero")])
    dm.clear("b")
    dm.load("b", [TableLine(0, 8, "zero")])
    dm.resume("b")
    dm.suspend("b")
    dm.resume("b")
    assert (dm.version(), dm.table("b"), dm.status("b"), dm.deps("b"), dm.info("b"), dm.target_versions()) == (
        inner.version(), inner.table("b"), inner.status("b"), inner.deps("b"), inner.info("b"), inner.target_versions(),
    )  # fmt: skip
    assert dm.wait("b", dm.info("b").event_nr + 1) == inner.info("b")
    with pytest.raises(KernelError):
        dm.message("b", "hello")
