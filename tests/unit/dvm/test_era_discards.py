"""What is remembered of discards that an era device let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import BusyError
from drystone.dvm.era import find_era_device
from drystone.dvm.era_discards import ANY_ERA, end_discards
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    mapper = SimulatedDeviceMapper({DeviceNumber(7, 0): 8192, DeviceNumber(7, 1): 1000})
    mapper.create("db", "U")
    mapper.load("db", [TableLine(0, 1000, "era", "7:0 7:1 128")])
    mapper.resume("db")
    return mapper


def sysfs_with(folder: Path, number: DeviceNumber, largest: int) -> str:
    queue = folder / "dev" / "block" / str(number) / "queue"
    queue.mkdir(parents=True, exist_ok=True)
    (queue / "discard_max_bytes").write_text(f"{largest}\n")
    for name in ("logical_block_size", "physical_block_size", "minimum_io_size", "optimal_io_size"):
        (queue / name).write_text("512\n")
    (queue / "discard_granularity").write_text("512\n")
    return str(folder)


def test_they_are_remembered(dm: SimulatedDeviceMapper, tmp_path: Path) -> None:
    device, marks = find_era_device(dm, "db"), tmp_path / "marks"
    sysfs = sysfs_with(tmp_path, device.number, 0)
    assert end_discards(dm, device, folder=marks, sysfs=sysfs) == 0
    sysfs_with(tmp_path, device.number, 1 << 20)
    dm.message("db", "checkpoint")
    for _ in range(2):
        assert end_discards(dm, device, folder=marks, sysfs=sysfs) == 2
        dm.message("db", "checkpoint")
    sysfs_with(tmp_path, device.number, 1 << 20)
    assert end_discards(dm, device, folder=marks, sysfs=sysfs) == 4


def test_when_the_era_is_not_known(dm: SimulatedDeviceMapper, tmp_path: Path) -> None:
    dm.suspend("db")
    device, marks = find_era_device(dm, "db"), tmp_path / "marks"
    sysfs = sysfs_with(tmp_path, device.number, 1 << 20)
    with pytest.raises(BusyError):
        end_discards(dm, device, folder=marks, sysfs=sysfs)
    dm.resume("db")
    assert end_discards(dm, find_era_device(dm, "db"), folder=marks, sysfs=sysfs) == ANY_ERA
