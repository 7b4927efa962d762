"""Progress: what a backup that is under way has put for good (docs/reference/backup-format.md, Progress)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec
import numpy as np
import zstandard

from drystone.backup.format.codec import unpack_frame
from drystone.backup.format.digest import NOTHING
from drystone.backup.format.keys import PACK_ID
from drystone.backup.format.manifest import MOST_SEGMENTS, SEGMENTS, Shape
from drystone.backup.format.pack import Place, check_places
from drystone.base.errors import DamagedError

VERSION = 2
_LARGEST = 1 << 28
"""Bytes of plain JSON: twice what the rows of MOST_SEGMENTS take in base64."""

Row = tuple[bytes, Place | None]
"""A segment's digest, and where its record is; None for a segment of zeros."""


@dataclass(frozen=True, slots=True)
class Step:
    """The segments that were gone through from `begin` up to `end`, by number. `read`: bytes, since the beginning."""

    shape: Shape
    begin: int
    end: int
    rows: dict[int, Row]
    read: int


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename={"begin": "from", "end": "to"}):
    version: int
    size: int
    chunk_size: int
    segment_slots: int
    begin: int
    end: int
    segments: str
    packs: list[str]
    read: int


def encode(step: Step) -> bytes:
    """The object's plain bytes."""
    packs = sorted({place.pack for _, place in step.rows.values() if place is not None})
    places = {pack: at for at, pack in enumerate(packs)}
    rows = [
        (number, name, 0, 0, 0) if place is None else (number, name, places[place.pack], place.offset, place.length)
        for number, (name, place) in sorted(step.rows.items())
    ]
    document = _Document(
        version=VERSION,
        size=step.shape.size,
        chunk_size=step.shape.chunk_size,
        segment_slots=step.shape.slots,
        begin=step.begin,
        end=step.end,
        segments=base64.b64encode(np.array(rows, dtype=SEGMENTS).tobytes()).decode(),
        packs=[each.hex() for each in packs],
        read=step.read,
    )
    return zstandard.ZstdCompressor(level=1).compress(msgspec.json.encode(document))


def parse(data: bytes, what: str) -> Step:
    """A step out of the object's plain bytes. :raises DamagedError: it is none; also of a newer version."""
    try:
        document = msgspec.json.decode(unpack_frame(data, _LARGEST, what), type=_Document)
        packs = [bytes.fromhex(each) for each in document.packs]
        raw = base64.b64decode(document.segments, validate=True)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedError(f"{what} is damaged: {error}") from error
    if document.version != VERSION or len(raw) % SEGMENTS.itemsize or any(len(each) != PACK_ID for each in packs):
        raise DamagedError(f"{what} is damaged, or of another version")
    if not 0 <= document.begin <= document.end <= MOST_SEGMENTS or document.read < 0:
        raise DamagedError(f"{what} goes from segment {document.begin} to {document.end}")
    table = np.frombuffer(raw, dtype=SEGMENTS)
    stored = table[table["digest"] != np.void(NOTHING)]
    check_places(len(packs), stored["pack"], stored["offset"], stored["length"], what)
    rows: dict[int, Row] = {}
    for number, digest, pack, offset, length in table.tolist():
        if not document.begin <= number < document.end:
            raise DamagedError(f"{what} names a segment that it has not come to")
        rows[number] = (digest, None if digest == NOTHING else Place(packs[pack], offset, length))
    shape = Shape(document.size, document.chunk_size, document.segment_slots)
    return Step(shape, document.begin, document.end, rows, document.read)
