"""Whether two paths lead to the same storage: by a symbolic link, a hard link, another node of a device, a loop device
over a file, or a device that is built upon another one. What reads one and writes the other must know.
"""

from __future__ import annotations

import os
import stat

import msgspec

from drystone.base.errors import BusyError, NotFoundError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.sysfs import SYSFS, block_folder, read_device, read_text

_MOST_LAYERS = 64
"""Devices upon each other that are looked through."""


_LASTING = (
    "dm/uuid",
    "md/uuid",
    "loop/backing_file",
    "wwid",
    "device/wwid",
    "serial",
    "device/serial",
    "device/cid",
)
"""Files below a device's folder in sysfs that name it for good, the best one first."""


class FileNumber(msgspec.Struct, frozen=True):
    """A plain file: its file system's device number as stat has it, and its inode."""

    device: int
    inode: int


Place = FileNumber | DeviceNumber


def share_storage(first: str, second: str) -> bool:
    """Whether both paths are the same, or one is built upon the other, or both are loop devices over one file.

    Two devices that lie beside each other on a third one are different.

    :raises NotFoundError: no such path.
    """
    here, there = find_place(first), find_place(second)
    below_here, below_there = list_below(here), list_below(there)
    return here in below_there or there in below_here or bool(_backing(here) & _backing(there))


def refuse_loops(path: str) -> None:
    """Refuse to write to a plain file that a loop device is set up over, which O_EXCL does not see.

    :raises BusyError: there is one.
    """
    from drystone.kernel.loop import find_by_file

    if loops := find_by_file(path):
        raise BusyError(f"{path} is in use by {loops[0].path}", hint=f"losetup -d {loops[0].path} frees it")


def find_place(path: str) -> Place:
    """What `path` leads to.

    :raises NotFoundError: no such path.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  # once a device, and small tools start without pathlib
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no {path}") from error
    if stat.S_ISBLK(found.st_mode):
        return DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev))
    return FileNumber(found.st_dev, found.st_ino)


def list_below(place: Place, sysfs: str = SYSFS) -> set[Place]:
    """The place itself and all that it is built upon: slaves, disks of partitions, files of loop devices."""
    found: set[Place] = {place}
    level: set[Place] = {place}
    for _ in range(_MOST_LAYERS):
        level = {below for each in level for below in _step_down(each, sysfs)} - found
        if not level:
            break
        found |= level
    return found


def lasting_name(number: DeviceNumber, sysfs: str = SYSFS) -> str:
    """What a device is known by after a restart as well, when its path and its number may be another one's.

    The UUID of device-mapper or md, a loop device's file, a disk's world wide name or serial number, a partition's
    place on such a disk. "" when the kernel knows nothing of the kind.

    :raises NotFoundError: no such device.
    """
    folder = block_folder(number, sysfs)
    if (folder / "partition").exists():
        disk = read_device(folder.resolve().parent / "dev")
        name = "" if disk is None else lasting_name(disk, sysfs)
        return f"{name}, from sector {read_text(folder / 'start')}" if name else ""
    for place in _LASTING:
        if text := (read_text(folder / place) or "").strip():
            more = f", from byte {read_text(folder / 'loop' / 'offset')}" if place.startswith("loop") else ""
            return f"{place} {text}{more}"
    return ""


def _step_down(place: Place, sysfs: str) -> set[Place]:
    if isinstance(place, FileNumber):
        return set()
    found: set[Place] = set(_backing(place, sysfs))
    try:
        folder = block_folder(place, sysfs)
    except NotFoundError:
        return found
    slaves = folder / "slaves"
    disk = [folder.resolve().parent / "dev"] if (folder / "partition").exists() else []
    numbers = [each / "dev" for each in slaves.iterdir()] if slaves.exists() else []
    return found | {number for number in map(read_device, [*numbers, *disk]) if number is not None}


def _backing(place: Place, sysfs: str = SYSFS) -> set[FileNumber]:
    """The file of a loop device, as a set of one; empty for anything else, and for a file without a name."""
    if isinstance(place, FileNumber):
        return set()
    try:
        name = read_text(block_folder(place, sysfs) / "loop" / "backing_file")
    except NotFoundError:
        return set()
    try:
        found = find_place(name) if name else None
    except NotFoundError:
        return set()
    return {found} if isinstance(found, FileNumber) else set()
