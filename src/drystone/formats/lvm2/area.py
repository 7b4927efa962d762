"""The header of a metadata area: where the group's text is, committed and precommitted."""

from __future__ import annotations

from dataclasses import dataclass

from drystone.base.errors import DamagedError
from drystone.formats.lvm2 import layout
from drystone.formats.lvm2.checksum import checksum


@dataclass(frozen=True, slots=True)
class Location:
    """A text in the ring.

    :ivar offset: bytes from the beginning of the area. :ivar size: bytes, with the NUL at the end.
    :ivar checksum: of these bytes.
    """

    offset: int
    size: int
    checksum: int


@dataclass(frozen=True, slots=True)
class AreaHeader:
    """A metadata area.

    :ivar begin: where it begins on the device, bytes. :ivar size: bytes, header included.
    :ivar committed: the group's text; None: the area holds none.
    :ivar precommitted: a text that was written and not committed; None in times of peace.
    :ivar ignored: the area is kept for later; its text is not the group's.
    """

    begin: int
    size: int
    committed: Location | None = None
    precommitted: Location | None = None
    ignored: bool = False


def parse_area_header(sector: bytes, begin: int) -> AreaHeader:
    """The header of the area that begins at byte `begin` of its device.

    Whether what the slots say can be true is looked at when a text is read (`ring.pieces`).

    :param sector: its first 512 bytes.
    :raises DamagedError: it is no such header, or not as it was written.
    """
    if len(sector) != layout.AREA_HEADER_SIZE:
        raise DamagedError(f"the metadata area at byte {begin} ends within its header")
    stored, magic, version, start, size = layout.AREA_HEADER.unpack_from(sector)
    if magic != layout.AREA_MAGIC:
        raise DamagedError(f"the metadata area at byte {begin} does not begin with its magic, but with {magic!r}")
    if (found := checksum(sector[layout.CHECKED_AREA :])) != stored:
        raise DamagedError(
            f"the header of the metadata area at byte {begin} has the checksum {found:08x}, {stored:08x} was stored"
        )
    if version != layout.AREA_VERSION:
        raise DamagedError(f"the metadata area at byte {begin} is of version {version}, which is not known")
    if start != begin:
        raise DamagedError(f"the metadata area at byte {begin} says that it begins at byte {start}")
    if size <= layout.AREA_HEADER_SIZE:
        raise DamagedError(f"the metadata area at byte {begin} says that it has {size} bytes")
    slots = parse_slots(sector)
    _, _, _, flags = layout.LOCATION.unpack_from(sector, layout.LOCATIONS_AT)
    return AreaHeader(begin, size, slots[0], slots[1], bool(flags & layout.IGNORED))


def parse_slots(sector: bytes) -> tuple[Location | None, Location | None]:
    """What the two slots of an area's header say, whatever state the header is in.

    :param sector: 512 bytes.
    """
    found: list[Location | None] = []
    for slot in range(2):
        at = layout.LOCATIONS_AT + slot * layout.LOCATION.size
        offset, size, stored, _ = layout.LOCATION.unpack_from(sector, at)
        found.append(Location(offset, size, stored) if offset and size else None)
    return found[0], found[1]
