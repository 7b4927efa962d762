"""Segments of a backup's map: where the chunks of a stretch of the image are (docs/reference/backup-format.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.digest import DIGEST, Hasher
from drystone.backup.format.keys import PACK_ID
from drystone.backup.format.pack import Place, check_places
from drystone.base.errors import DamagedError

SLOTS = 256
"""Chunks a segment. With chunks of 1 MiB a segment maps 256 MiB in 11 KiB at most: small, for an incremental writes
every segment that its changes are scattered over. 10 TiB have 2 MiB of segment table in each manifest for it."""
LARGEST_SLOTS = 1 << 16

_FRONT = struct.Struct("<IIII")

Leaves = NDArray[np.uint8]
"""Shape (slots, 32)."""


@dataclass(slots=True)
class Segment:
    """One segment, while it is worked with: a row a slot; rows of zeros are chunks of zeros.

    :ivar number: its number in the image.
    :ivar leaves: shape (slots, 32). :ivar pack: u32, place in `packs`. :ivar offset, length: u32, bytes.
    """

    number: int
    leaves: Leaves
    pack: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]
    packs: list[bytes]

    @classmethod
    def empty(cls, number: int, slots: int) -> Segment:
        """A segment of zeros."""
        columns = [np.zeros(slots, dtype=np.uint32) for _ in range(3)]
        return cls(number, np.zeros((slots, DIGEST), dtype=np.uint8), columns[0], columns[1], columns[2], [])

    def copy(self) -> Segment:
        """Another one with the same rows."""
        return self.resized(len(self.leaves))

    def resized(self, slots: int) -> Segment:
        """The same rows for an image whose last segment has other slots; rows that are new are zeros."""
        other = Segment.empty(self.number, slots)
        rows = min(slots, len(self.leaves))
        for name in ("leaves", "pack", "offset", "length"):
            getattr(other, name)[:rows] = getattr(self, name)[:rows]
        other.packs = self.packs.copy()
        return other

    def leaf(self, slot: int) -> bytes:
        """The leaf of a slot."""
        return bytes(self.leaves[slot])

    def place(self, slot: int) -> Place | None:
        """Where the slot's chunk is; None for zeros."""
        if not self.length[slot]:
            return None
        return Place(self.packs[self.pack[slot]], int(self.offset[slot]), int(self.length[slot]))

    def put(self, slot: int, leaf: bytes, place: Place) -> None:
        """The slot's chunk has this leaf and is there."""
        if place.pack not in self.packs:
            self.packs.append(place.pack)
        self.leaves[slot] = np.frombuffer(leaf, dtype=np.uint8)
        self.pack[slot] = self.packs.index(place.pack)
        self.offset[slot] = place.offset
        self.length[slot] = place.length

    def clear(self, slot: int) -> None:
        """The slot's chunk is zeros."""
        self.leaves[slot] = 0
        self.pack[slot] = self.offset[slot] = self.length[slot] = 0

    def stored(self) -> Iterator[tuple[bytes, bytes, int, int]]:
        """(leaf, pack id, offset, length) of every slot that is not zero; quicker than asking for each place."""
        present = self.present()
        leaves = self.leaves[present].tobytes()
        columns = (column[present].tolist() for column in (self.pack, self.offset, self.length))
        for at, (pack, offset, length) in enumerate(zip(*columns, strict=True)):
            yield leaves[at * DIGEST : (at + 1) * DIGEST], self.packs[pack], offset, length

    def digest(self, hasher: Hasher) -> bytes:
        """The segment digest over the leaves."""
        return hasher.segment(self.leaves)

    def present(self) -> NDArray[np.intp]:
        """The slots that are not zero, ascending."""
        return np.flatnonzero(self.length)


def encode(segment: Segment) -> bytes:
    """The plain content of the segment's record; it has one slot at least that is not zero."""
    present = segment.present()
    used, places = np.unique(segment.pack[present], return_inverse=True)
    bits = np.packbits(segment.length != 0, bitorder="little")
    return b"".join(
        (
            _FRONT.pack(segment.number, len(segment.leaves), len(present), len(used)),
            bits.tobytes(),
            segment.leaves[present].tobytes(),
            places.astype("<u4").tobytes(),
            segment.offset[present].astype("<u4").tobytes(),
            segment.length[present].astype("<u4").tobytes(),
            *(segment.packs[at] for at in used),
        )
    )


def parse(data: bytes | memoryview, number: int, slots: int) -> Segment:
    """The segment `number` of `slots` slots out of its record's plain content.

    :raises DamagedError: it is another one, or its parts do not fit each other.
    """
    what = f"map segment {number}"
    if len(data) < _FRONT.size:
        raise DamagedError(f"{what} has {len(data)} bytes")
    its_number, its_slots, count, pack_count = _FRONT.unpack_from(data)
    width = (its_slots + 7) // 8
    wanted = _FRONT.size + width + count * (DIGEST + 12) + pack_count * PACK_ID
    if (its_number, its_slots) != (number, slots) or slots > LARGEST_SLOTS or not 0 < count <= slots:
        raise DamagedError(f"{what} is segment {its_number} of {its_slots} slots, {count} in use")
    if len(data) != wanted:
        raise DamagedError(f"{what} has {len(data)} bytes, not {wanted}")
    at = _FRONT.size
    bits = np.unpackbits(np.frombuffer(data, np.uint8, width, at), bitorder="little")
    present = np.flatnonzero(bits)
    if len(present) != count or present[-1] >= slots:
        raise DamagedError(f"{what} marks {len(present)} slots, not {count}")
    segment = Segment.empty(number, slots)
    at += width
    segment.leaves[present] = np.frombuffer(data, np.uint8, count * DIGEST, at).reshape(count, DIGEST)
    at += count * DIGEST
    for column in (segment.pack, segment.offset, segment.length):
        column[present] = np.frombuffer(data, "<u4", count, at)
        at += 4 * count
    segment.packs = [bytes(data[begin : begin + PACK_ID]) for begin in range(at, wanted, PACK_ID)]
    check_places(pack_count, segment.pack[present], segment.offset[present], segment.length[present], what)
    if not segment.leaves[present].any(axis=1).all():
        raise DamagedError(f"{what} marks a slot whose leaf is zero")
    return segment
