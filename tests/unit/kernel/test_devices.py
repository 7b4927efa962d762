"""The list of block devices, from folders that look like /sys and /dev."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.kernel.devices import list_block_devices
from drystone.kernel.dm.abc import DeviceNumber


@pytest.fixture
def machine(tmp_path: Path) -> tuple[str, str]:
    sysfs, dev = tmp_path / "sys", tmp_path / "dev"
    for name, number, size, more in (
        ("sda", "8:0", "2048", {}),
        ("sda1", "8:1", "1024", {"ro": "1"}),
        ("fd0", "2:0", "8", {}),
        ("sr0", "11:0", "0", {}),
        ("dm-0", "253:0", "16", {"dm/suspended": "1", "dm/uuid": "DRYSTONE-DVM-1"}),
    ):
        folder = sysfs / "class" / "block" / name
        (folder / "dm").mkdir(parents=True)
        (folder / "dev").write_text(number + "\n")
        (folder / "size").write_text(size + "\n")
        (folder / "uevent").write_text(f"MAJOR=1\nDEVNAME={name}\n")
        for place, text in more.items():
            (folder / place).write_text(text + "\n")
        dev.mkdir(exist_ok=True)
        (dev / name).touch()
    for kind, link, target in (("by-id", "disk-1", "sda"), ("by-path", "pci-1", "sda"), ("by-id", "part-1", "sda1")):
        folder = dev / "disk" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to(f"../../{target}")
    (dev / "mapper").mkdir()
    (dev / "mapper" / "vg-one").symlink_to("../dm-0")
    (dev / "mapper" / "control").touch()
    return str(sysfs), str(dev)


def test_devices_with_all_paths_that_lead_to_them(machine: tuple[str, str]) -> None:
    found = list_block_devices(*machine)
    dev = machine[1]
    assert [each.path for each in found] == [f"{dev}/dm-0", f"{dev}/sda", f"{dev}/sda1"]
    mapped, disk, part = found
    assert mapped.aliases == (f"{dev}/dm-0", f"{dev}/mapper/vg-one")
    assert (mapped.is_suspended, mapped.mapper_uuid) == (True, "DRYSTONE-DVM-1")
    assert disk.aliases == (f"{dev}/sda", f"{dev}/disk/by-id/disk-1", f"{dev}/disk/by-path/pci-1")
    assert (disk.number, disk.size, disk.read_only, disk.is_suspended) == (DeviceNumber(8, 0), 1 << 20, False, False)
    assert part.read_only


def test_a_machine_without_sysfs(tmp_path: Path) -> None:
    assert list_block_devices(str(tmp_path), str(tmp_path)) == []
