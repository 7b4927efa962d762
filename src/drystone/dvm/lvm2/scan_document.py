"""What LVM2 has on each device, as a document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from drystone.dvm.lvm2.entries import Entry
from drystone.dvm.lvm2.survey import Area, Surveyed, Text
from drystone.formats.lvm2.label import Range


class RangeEntry(Entry, frozen=True):
    """Bytes of a device; `size` 0: to its end."""

    offset: int
    size: int


class TextEntry(Entry, frozen=True):
    """What a slot points to. `problem`: why it is no group; the group's fields are empty then.

    :ivar offset: bytes into the area. :ivar size: bytes, with the NUL. :ivar checksum: as stored, in hexadecimal.
    """

    offset: int
    size: int
    checksum: str
    group: str = ""
    uuid: str = ""
    seqno: int | None = None
    problem: str = ""


class AreaEntry(Entry, frozen=True):
    """A metadata area."""

    offset: int
    size: int
    ignored: bool = False
    committed: TextEntry | None = None
    precommitted: TextEntry | None = None
    problem: str = ""


class PhysicalEntry(Entry, frozen=True):
    """What a label says. `size`: of the device when it was written; `in_use` is null where the label cannot tell."""

    uuid: str
    sector: int
    size: int
    in_use: bool | None
    data_areas: tuple[RangeEntry, ...]
    boot_areas: tuple[RangeEntry, ...]


class DeviceEntry(Entry, frozen=True):
    """A device. `physical_volume` is null without a label that can be read; `problem` says why when there is one."""

    path: str
    size: int
    physical_volume: PhysicalEntry | None = None
    areas: tuple[AreaEntry, ...] = ()
    problem: str = ""


class ScanDocument(Entry, frozen=True, kw_only=True):
    """What LVM2 has on each device."""

    schema: Literal["drystone.dvm.lvm2.scan"] = "drystone.dvm.lvm2.scan"
    version: Literal[1] = 1
    devices: tuple[DeviceEntry, ...]


def scan_document(surveyed: Iterable[Surveyed]) -> ScanDocument:
    """What is on each device."""
    return ScanDocument(devices=tuple(map(_device, surveyed)))


def _device(found: Surveyed) -> DeviceEntry:
    label = found.label
    physical = (
        None
        if label is None
        else PhysicalEntry(
            uuid=label.uuid,
            sector=label.sector,
            size=label.size,
            in_use=label.in_use,
            data_areas=tuple(map(_range, label.data_areas)),
            boot_areas=tuple(map(_range, label.boot_areas)),
        )
    )
    return DeviceEntry(found.path, found.size, physical, tuple(map(_area, found.areas)), found.problem)


def _range(found: Range) -> RangeEntry:
    return RangeEntry(found.offset, found.size)


def _area(found: Area) -> AreaEntry:
    return AreaEntry(
        offset=found.range.offset,
        size=found.range.size,
        ignored=found.header is not None and found.header.ignored,
        committed=None if found.committed is None else _text(found.committed),
        precommitted=None if found.precommitted is None else _text(found.precommitted),
        problem=found.problem,
    )


def _text(found: Text) -> TextEntry:
    where = (found.location.offset, found.location.size, f"{found.location.checksum:08x}")
    if found.group is None:
        return TextEntry(*where, problem=found.problem)
    return TextEntry(*where, found.group.name, found.group.uuid, found.group.number)
