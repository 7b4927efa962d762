"""Era devices on a simulated kernel."""

from __future__ import annotations

import contextlib

import pytest

from drystone.base.errors import BusyError, KernelError, UsageError
from drystone.dvm.check import check
from drystone.dvm.dmexec import execute
from drystone.dvm.era import checkpoint, find_era_device, read_status, removal
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper

METADATA, ORIGIN = DeviceNumber(7, 0), DeviceNumber(7, 1)


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    mapper = SimulatedDeviceMapper({METADATA: 8192, ORIGIN: 1000})
    mapper.create("db", "U")
    mapper.load("db", [TableLine(0, 1000, "era", f"{METADATA} {ORIGIN} 128")])
    mapper.resume("db")
    return mapper


def test_it_is_found(dm: SimulatedDeviceMapper) -> None:
    found = find_era_device(dm, "db")
    assert (found.name, found.uuid, found.size, found.block_size) == ("db", "U", 512000, 65536)
    assert (found.metadata, found.origin, found.blocks) == (METADATA, ORIGIN, 8)
    assert read_status(dm, found).current_era == 1


def test_other_devices(dm: SimulatedDeviceMapper) -> None:
    dm.create("two")
    dm.load("two", [TableLine(0, 8, "zero"), TableLine(8, 8, "zero")])
    dm.resume("two")
    dm.create("bare")
    for name, text in (("two", "of 2 targets"), ("bare", "of 0 targets")):
        with pytest.raises(UsageError, match=f"{name} is no era device: it is {text}"):
            find_era_device(dm, name)
    with pytest.raises(KernelError):
        find_era_device(dm, "nobody")


@pytest.mark.parametrize(("drain", "era"), [(False, 2), (True, 3)])
def test_checkpoint(dm: SimulatedDeviceMapper, drain: bool, era: int) -> None:
    program = checkpoint(find_era_device(dm, "db"), drain=drain)
    check(program)
    assert execute(program, dm, memory=contextlib.nullcontext).outcome == "done"
    assert read_status(dm, find_era_device(dm, "db")).current_era == era


def test_a_suspended_device_is_not_asked(dm: SimulatedDeviceMapper) -> None:
    dm.suspend("db")
    with pytest.raises(BusyError, match="suspended"):
        read_status(dm, find_era_device(dm, "db"))


def test_removal(dm: SimulatedDeviceMapper) -> None:
    program = removal(dm, find_era_device(dm, "db"))
    check(program)
    assert execute(program, dm, memory=contextlib.nullcontext).outcome == "done"
    assert dm.list_devices() == []


def test_a_device_in_use_stays(dm: SimulatedDeviceMapper) -> None:
    dm.create("above")
    dm.load("above", [TableLine(0, 8, "linear", f"{dm.info('db').number} 0")])
    dm.resume("above")
    with pytest.raises(BusyError, match="db is in use by 1"):
        removal(dm, find_era_device(dm, "db"))
