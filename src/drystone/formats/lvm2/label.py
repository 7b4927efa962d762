"""The label of a physical volume: who it is, and where its data and its metadata areas are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from drystone.base.errors import DamagedError
from drystone.formats.lvm2 import layout
from drystone.formats.lvm2.checksum import checksum
from drystone.formats.lvm2.uuid import from_stored

HEAD_SIZE = layout.LABEL_SECTORS * layout.SECTOR
"""Bytes at the beginning of a device among which the label is."""


class Range(NamedTuple):
    """Bytes of a device. `size` 0: to its end."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Label:
    """A physical volume, as its label tells.

    :ivar sector: the sector that the label is in.
    :ivar uuid: of the physical volume, with dashes.
    :ivar size: bytes of the device when the label was written; 0: not told.
    :ivar extension: version of the header's extension; 0: it has none.
    :ivar in_use: whether it belongs to a group; None: before version 2 of the extension nothing tells.
    """

    sector: int
    uuid: str
    size: int
    data_areas: tuple[Range, ...]
    metadata_areas: tuple[Range, ...]
    boot_areas: tuple[Range, ...] = ()
    extension: int = 0
    in_use: bool | None = None


def find_label(head: bytes) -> Label | None:
    """The first whole label in the first four sectors; None when there is no trace of one.

    :param head: the first HEAD_SIZE bytes of a device, or all of a smaller one.
    :raises DamagedError: there are only labels that are not what was written; the message tells what is wrong with
        the first.
    """
    damage: DamagedError | None = None
    for number in range(min(len(head) // layout.SECTOR, layout.LABEL_SECTORS)):
        sector = head[number * layout.SECTOR : (number + 1) * layout.SECTOR]
        if not sector.startswith(layout.LABEL_MAGIC):
            continue
        try:
            return _parse_label(sector, number)
        except DamagedError as error:
            damage = damage or error
    if damage is not None:
        raise damage
    return None


def _parse_label(sector: bytes, number: int) -> Label:
    _, own, stored, begin, kind = layout.LABEL.unpack_from(sector)
    if (found := checksum(sector[layout.CHECKED_LABEL :])) != stored:
        raise DamagedError(f"the label in sector {number} has the checksum {found:08x}, {stored:08x} was stored")
    if kind != layout.LABEL_TYPE:
        raise DamagedError(f"the label in sector {number} is of type {kind!r}, not {layout.LABEL_TYPE!r}")
    if own != number:
        raise DamagedError(f"the label in sector {number} says that it is in sector {own}")
    if not layout.LABEL.size <= begin <= layout.SECTOR - layout.PV_HEADER.size:
        raise DamagedError(f"the label in sector {number} says that its contents begin at byte {begin}")
    raw_uuid, size = layout.PV_HEADER.unpack_from(sector, begin)
    data_areas, after = _parse_ranges(sector, begin + layout.PV_HEADER.size, "data areas")
    metadata_areas, after = _parse_ranges(sector, after, "metadata areas")
    version, flags = layout.EXTENSION.unpack_from(sector, after) if after + 8 <= layout.SECTOR else (0, 0)
    boot_areas = _parse_ranges(sector, after + 8, "boot loader areas")[0] if version else ()
    return Label(
        sector=number,
        uuid=from_stored(raw_uuid, f"the label in sector {number}"),
        size=size,
        data_areas=data_areas,
        metadata_areas=metadata_areas,
        boot_areas=boot_areas,
        extension=version,
        in_use=bool(flags & layout.IN_USE) if version >= 2 else None,
    )


def _parse_ranges(sector: bytes, begin: int, what: str) -> tuple[tuple[Range, ...], int]:
    """A list of areas, and where it ends. :raises DamagedError: it does not end within the sector."""
    found: list[Range] = []
    for at in range(begin, layout.SECTOR - layout.RANGE.size + 1, layout.RANGE.size):
        offset, size = layout.RANGE.unpack_from(sector, at)
        if not offset:
            return tuple(found), at + layout.RANGE.size
        found.append(Range(offset, size))
    raise DamagedError(f"the list of {what} has no end within the label's sector")
