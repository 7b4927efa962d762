"""Which disks lie below a device, in a sysfs of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.physical import btrfs_members, disks_below, disks_of_device, disks_of_folder

_DEVICES = {
    "8:0": "sda", "8:1": "sda/sda1", "8:16": "sdb", "259:0": "nvme0n1", "259:1": "nvme0n1/nvme0n1p1",
    "9:0": "md0", "253:0": "dm-0", "253:1": "dm-1", "7:0": "loop0",
}  # fmt: skip
_SLAVES = {"md0": ("sda/sda1", "sdb"), "dm-0": ("md0",), "dm-1": ("dm-0", "nvme0n1/nvme0n1p1")}


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """sda with a partition, sdb, an NVMe disk with a partition; md0 over sda1 and sdb, dm-0 over md0, dm-1 over dm-0
    and the NVMe partition; a loop device; a btrfs of sdb and nvme0n1p1."""
    (tmp_path / "dev/block").mkdir(parents=True)
    for number, place in _DEVICES.items():
        folder = tmp_path / "block" / place
        folder.mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
        (folder / "uevent").write_text(f"DEVNAME={folder.name}\n")
        if "/" in place:
            (folder / "partition").write_text("1\n")
        elif place.startswith(("sd", "nvme")):
            (folder / "device").mkdir()
        else:
            (folder / "slaves").mkdir()
        (tmp_path / "dev/block" / number).symlink_to(f"../../block/{place}")
    for upper, lower in _SLAVES.items():
        for each in lower:
            (tmp_path / "block" / upper / "slaves" / Path(each).name).symlink_to(tmp_path / "block" / each)
    members = tmp_path / "fs/btrfs/6c0c/devices"
    members.mkdir(parents=True)
    for each in ("sdb", "nvme0n1/nvme0n1p1"):
        (members / Path(each).name).symlink_to(tmp_path / "block" / each)
    return tmp_path


@pytest.mark.parametrize(
    ("number", "disks"),
    [
        ((8, 0), {"sda"}),
        ((8, 1), {"sda"}),
        ((9, 0), {"sda", "sdb"}),
        ((253, 1), {"sda", "sdb", "nvme0n1"}),
        ((259, 1), {"nvme0n1"}),
        ((7, 0), set()),
        ((1, 99), set()),
    ],
)
def test_the_disks_below(sysfs: Path, number: tuple[int, int], disks: set[str]) -> None:
    assert disks_below(DeviceNumber(*number), str(sysfs)) == disks


def test_devices_that_lie_upon_each_other_end(sysfs: Path) -> None:
    (sysfs / "block/md0/slaves/dm-1").symlink_to(sysfs / "block/dm-1")
    assert disks_below(DeviceNumber(253, 1), str(sysfs)) == {"sda", "sdb", "nvme0n1"}


def test_a_btrfs_is_all_its_devices(sysfs: Path) -> None:
    members = btrfs_members(DeviceNumber(8, 16), str(sysfs))
    assert sorted(members) == [DeviceNumber(8, 16), DeviceNumber(259, 1)]
    assert btrfs_members(DeviceNumber(8, 0), str(sysfs)) == []
    assert disks_of_device(DeviceNumber(8, 16), str(sysfs)) == ("nvme0n1", "sdb")
    assert disks_of_device(DeviceNumber(8, 0), str(sysfs)) == ("sda",)


def test_a_folder_in_memory_has_none(sysfs: Path) -> None:
    assert disks_of_folder(Path("/proc"), str(sysfs)) == ()
