"""The ring of texts in a metadata area: where a text's bytes are, and every text that is still there.

A text begins with a sector, goes on at the ring's beginning where the area ends, and ends with a NUL. A new one is
written after the committed one, so older ones stay until the ring comes round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.area import Location
from drystone.formats.lvm2.checksum import checksum
from drystone.formats.lvm2.layout import AREA_HEADER_SIZE, SECTOR
from drystone.formats.lvm2.tokens import LONGEST_TEXT

_BEGIN = re.compile(
    rb'[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}\s{0,8}\{\s{1,8}id = "[0-9A-Za-z!#-]{38}"\s{1,8}seqno = [0-9]'
)
"""How the text of a group begins. Volumes have an id too, but no seqno after it."""
_LONGEST_BEGIN = 512


@dataclass(frozen=True, slots=True)
class FoundText:
    """Bytes in a ring that begin as a text does.

    :ivar offset: where, in bytes from the beginning of the area.
    :ivar data: up to the NUL, without it; or up to where another text begins.
    :ivar wrapped: it goes on at the ring's beginning.
    """

    offset: int
    data: bytes
    wrapped: bool = False


def pieces(location: Location, area_size: int) -> tuple[tuple[int, int], ...]:
    """The one or two stretches (offset in the area, length) that a text is in.

    :raises DamagedError: it cannot be there: outside of the ring, or longer than this program reads.
    """
    ring = area_size - AREA_HEADER_SIZE
    if not AREA_HEADER_SIZE <= location.offset < area_size or not 0 < location.size <= ring:
        raise DamagedError(
            f"a text of {location.size} bytes at byte {location.offset} is not within its area of {area_size} bytes"
        )
    if location.size > LONGEST_TEXT:
        raise DamagedError(f"a text of {location.size} bytes is longer than the {LONGEST_TEXT} that are read")
    beyond = location.offset + location.size - area_size
    if beyond <= 0:
        return ((location.offset, location.size),)
    return ((location.offset, location.size - beyond), (AREA_HEADER_SIZE, beyond))


def check_text(data: bytes, location: Location) -> bytes:
    """The text without what follows its NUL, when `data` is what was written at `location`.

    :raises DamagedError: the checksum is another, or there is no NUL.
    """
    if (found := checksum(data)) != location.checksum:
        raise DamagedError(
            f"the text at byte {location.offset} has the checksum {found:08x}, {location.checksum:08x} was stored"
        )
    text, end, _ = data.partition(b"\0")
    if not end:
        raise DamagedError(f"the text at byte {location.offset} has no end")
    return text


def find_texts(area: bytes, *, begin: int = AREA_HEADER_SIZE, wraps: bool = True) -> Iterator[FoundText]:
    """Whatever in a ring begins as a text does, in the order of the area. It takes time in proportion to the area.

    :param area: a whole metadata area, or any bytes that may hold texts.
    :param begin: where the ring begins in `area`, bytes.
    :param wraps: the end of `area` is the end of a ring.
    """
    # A beginning may lie across the ring's end, so a little of what follows there is looked at.
    around = area + area[begin : begin + _LONGEST_BEGIN] if wraps else area
    starts = [at for at in range(begin, len(area), SECTOR) if _BEGIN.match(around, at)]
    for position, start in enumerate(starts):
        if position + 1 < len(starts):
            yield FoundText(start, _until_nul(area[start : min(starts[position + 1], start + LONGEST_TEXT)]))
            continue
        data = _until_nul(area[start : start + LONGEST_TEXT])
        if not wraps or start + len(data) < len(area):
            yield FoundText(start, data)
            continue
        rest = area[begin : min(starts[0], begin + LONGEST_TEXT - len(data))]
        yield FoundText(start, data + _until_nul(rest), wrapped=True)


def _until_nul(data: bytes) -> bytes:
    return data.partition(b"\0")[0]
