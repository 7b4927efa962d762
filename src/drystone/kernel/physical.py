"""The disks of the machine that a file system lies on: through partitions, device-mapper, md and btrfs.

Source: Linux `Documentation/ABI/stable/sysfs-block` (slaves, partition) and `fs/btrfs/sysfs.c` (devices).
"""

from __future__ import annotations

import os
from pathlib import Path

from drystone.base.errors import NotFoundError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.mounts import mount_at
from drystone.kernel.sysfs import SYSFS, block_folder, kernel_name, read_device

_MOST = 256
"""Devices that are looked at below one: more are taken for a mistake."""


def disks_of_folder(folder: Path, sysfs: str = SYSFS) -> tuple[str, ...]:
    """Names (below /dev, as `sda`) of the disks below the file system that is mounted at `folder`; none of a RAM disk.

    :raises OSError: the folder cannot be looked at. :raises KernelError: mounts cannot be listed.
    """
    status = os.stat(folder)  # noqa: PTH116  # which may hang with the disk: whoever calls knows
    number = DeviceNumber(os.major(status.st_dev), os.minor(status.st_dev))
    if not number.major:  # btrfs and others have numbers of no device; the mount names one
        mount = mount_at(str(folder))
        source = Path(mount.source) if mount is not None else Path("none")
        if not source.is_block_device():
            return ()
        device = os.stat(source).st_rdev  # noqa: PTH116
        number = DeviceNumber(os.major(device), os.minor(device))
    return disks_of_device(number, sysfs)


def disks_of_device(number: DeviceNumber, sysfs: str = SYSFS) -> tuple[str, ...]:
    """Likewise, by the device that is mounted; of a btrfs any one of its devices."""
    members = btrfs_members(number, sysfs) or [number]
    return tuple(sorted({name for each in members for name in disks_below(each, sysfs)}))


def btrfs_members(number: DeviceNumber, sysfs: str = SYSFS) -> list[DeviceNumber]:
    """All devices of the mounted btrfs that a device is of; none when it is of none."""
    for folder in Path(sysfs, "fs", "btrfs").glob("*/devices"):
        members = [found for each in folder.iterdir() if (found := read_device(each / "dev")) is not None]
        if number in members:
            return members
    return []


def disks_below(number: DeviceNumber, sysfs: str = SYSFS) -> set[str]:
    """Names of the disks that a block device lies on, or is: what is built upon nothing, and is no mere driver's.

    A loop device, a RAM disk and the like are no disks. A device that is gone meanwhile is passed over.
    """
    found: set[str] = set()
    seen: set[DeviceNumber] = set()
    waiting = [number]
    while waiting and len(seen) < _MOST:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        try:
            folder = block_folder(each, sysfs).resolve()
            if (folder / "partition").exists():
                whole = read_device(folder.parent / "dev")
                waiting += [whole] if whole is not None else []
            elif below := _list_slaves(folder):
                waiting += below
            elif (folder / "device").exists():
                found.add(kernel_name(each, sysfs))
        except (NotFoundError, OSError):
            continue
    return found


def _list_slaves(folder: Path) -> list[DeviceNumber]:
    slaves = folder / "slaves"
    if not slaves.is_dir():
        return []
    return [number for each in slaves.iterdir() if (number := read_device(each / "dev")) is not None]
