"""The block devices of this machine, with every path that leads to each.

Source: Linux `Documentation/ABI/stable/sysfs-block`; the links below /dev/disk are udev's. Where udev does not run
there are no links, and a device has the one path. Nothing is opened here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec

from drystone.base.sizes import SECTOR
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.sysfs import SYSFS, read_device, read_text

DEV = "/dev"
_FLOPPY = 2
"""The major number of floppy drives: opening one without a disk takes seconds."""


class BlockEntry(msgspec.Struct, frozen=True):
    """A block device.

    :ivar path: /dev/KERNELNAME. :ivar aliases: every path that leads to it, `path` first.
    :ivar size: bytes. :ivar is_suspended: a device-mapper device that holds input and output: reading it would wait.
    :ivar mapper_uuid: of a device-mapper device; "" for others.
    """

    number: DeviceNumber
    path: str
    aliases: tuple[str, ...]
    size: int
    read_only: bool = False
    is_suspended: bool = False
    mapper_uuid: str = ""


def list_block_devices(sysfs: str = SYSFS, dev: str = DEV) -> list[BlockEntry]:
    """All that have a size, by path."""
    entries = [entry for place in _list(f"{sysfs}/class/block") if (entry := _read(place, dev))]
    by_path = {os.path.realpath(entry.path): entry for entry in entries}
    by_number = {entry.number: entry for entry in entries}
    links: dict[DeviceNumber, list[str]] = {}
    for link in _links(dev):
        entry = by_path.get(os.path.realpath(link)) or _by_node(link, by_number)
        if entry is not None and link != entry.path:
            links.setdefault(entry.number, []).append(link)
    return [
        BlockEntry(
            entry.number,
            entry.path,
            (entry.path, *sorted(links.get(entry.number, ()))),
            entry.size,
            entry.read_only,
            entry.is_suspended,
            entry.mapper_uuid,
        )
        for entry in entries
    ]


def _read(place: str, dev: str) -> BlockEntry | None:
    number = read_device(f"{place}/dev")
    size = (read_text(f"{place}/size") or "").strip()
    if number is None or number.major == _FLOPPY or not size.isdigit() or int(size) == 0:
        return None
    name = place.rpartition("/")[2]
    for line in (read_text(f"{place}/uevent") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "DEVNAME":
            name = value
    path = f"{dev}/{name}"
    return BlockEntry(
        number,
        path,
        (path,),
        int(size) * SECTOR,
        (read_text(f"{place}/ro") or "0").strip() == "1",
        (read_text(f"{place}/dm/suspended") or "0").strip() == "1",
        (read_text(f"{place}/dm/uuid") or "").strip(),
    )


def _links(dev: str) -> Iterator[str]:
    """Paths that may lead to a device: by id, by path and so on, and device-mapper's names."""
    for folder in (*_list(f"{dev}/disk"), f"{dev}/mapper"):
        yield from _list(folder)


def _list(folder: str) -> list[str]:
    """Paths of what is in a folder, in order; none when there is no such folder."""
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]  # noqa: PTH208  # small tools start without pathlib
    except (FileNotFoundError, NotADirectoryError):
        return []


def _by_node(path: str, entries: dict[DeviceNumber, BlockEntry]) -> BlockEntry | None:
    """The device whose node this is, where device-mapper's names are nodes and no links."""
    try:
        found = os.stat(path)  # noqa: PTH116  # as above
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return entries.get(DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev)))
