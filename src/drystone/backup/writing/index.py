"""Which chunks are stored already: by leaf, where. Sorted arrays, 52 bytes an entry, and a small dict of new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.digest import DIGEST
from drystone.backup.format.index_object import MOST_ENTRIES, Index
from drystone.backup.format.pack import Place
from drystone.backup.format.segment import Segment
from drystone.backup.writing.presence import Presence
from drystone.backup.writing.spoilt import Spoilt

_Row = tuple[bytes, int, int]
"""Pack id, offset and length of the record in bytes."""


@dataclass(frozen=True, slots=True)
class Table:
    """Entries ascending by the first eight bytes of the leaf, as a big-endian number.

    :ivar first: u64, those bytes. :ivar rest: u64, shape (n, 3), the other 24 bytes.
    :ivar pack: u32, place in `packs`. :ivar offset, length: u32.
    """

    packs: list[bytes]
    first: NDArray[np.uint64]
    rest: NDArray[np.uint64]
    pack: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]

    def find(self, leaf: bytes) -> Place | None:
        """Where a chunk with that leaf is."""
        words = np.frombuffer(leaf, dtype=">u8").astype(np.uint64)
        at = int(np.searchsorted(self.first, words[0]))
        while at < len(self.first) and self.first[at] == words[0]:
            if (self.rest[at] == words[1:]).all():
                return Place(self.packs[self.pack[at]], int(self.offset[at]), int(self.length[at]))
            at += 1
        return None


def make_table(index: Index, keep: NDArray[np.bool_] | None = None) -> Table:
    """A table of an index's entries; of those that `keep` marks."""
    rows = slice(None) if keep is None else keep
    words = index.digests[rows].view(">u8").astype(np.uint64).reshape(-1, DIGEST // 8)
    return Table(
        index.packs,
        words[:, 0].copy(),
        words[:, 1:].copy(),
        index.pack[rows].astype(np.uint32),
        index.offset[rows].astype(np.uint32),
        index.length[rows].astype(np.uint32),
    )


def make_index(rows: dict[bytes, _Row]) -> Index:
    """An index of leaves and places; at most MOST_ENTRIES."""
    leaves = sorted(rows)
    packs = sorted({row[0] for row in rows.values()})
    places = {pack: at for at, pack in enumerate(packs)}
    columns = np.array(
        [(places[pack], offset, length) for pack, offset, length in (rows[leaf] for leaf in leaves)], dtype=np.uint32
    ).reshape(-1, 3)
    digests = np.frombuffer(b"".join(leaves), dtype=np.uint8).reshape(-1, DIGEST)
    return Index(packs, digests, columns[:, 0], columns[:, 1], columns[:, 2])


def merge(indexes: list[Index]) -> Index:
    """One index of several; at most MOST_ENTRIES entries together."""
    packs = sorted({pack for each in indexes for pack in each.packs})
    places = {pack: at for at, pack in enumerate(packs)}
    digests = np.concatenate([each.digests for each in indexes])
    numbers = [np.array([places[pack] for pack in each.packs], dtype=np.uint32) for each in indexes]
    pack = np.concatenate([own[each.pack] for own, each in zip(numbers, indexes, strict=True)])
    words = digests.view(">u8").reshape(-1, DIGEST // 8)
    order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    offset, length = (np.concatenate([getattr(each, name) for each in indexes])[order] for name in ("offset", "length"))
    return Index(packs, digests[order], pack[order], offset, length)


def index_size(capacity: int, spill: int) -> int:
    """Entries of each index that a ChunkIndex hands on, but for its last one: whole lots, and no more than can be."""
    lot = min(spill, MOST_ENTRIES)
    return max(1, min(capacity, MOST_ENTRIES) // lot) * lot


class ChunkIndex:
    """What is stored, as far as it is known here: further chunks may be stored twice.

    One thread adds; others may look meanwhile.

    :param capacity: entries in tables. Of new ones beyond it the oldest are forgotten here; `finished` has them.
    :param known: what the repository's indexes tell. :param presence: asked whether a pack of these is there.
    :param spill: entries that are collected in a dict before they become a table.
    """

    def __init__(
        self, capacity: int, spill: int, known: tuple[Table, ...] = (), presence: Presence | None = None
    ) -> None:
        self._presence = presence
        self._capacity = capacity
        self._spill_at = min(spill, MOST_ENTRIES)
        self._lots = index_size(capacity, spill) // self._spill_at
        self._known = known
        self._own: tuple[Table, ...] = ()
        self._fresh: dict[bytes, _Row] = {}
        self._base: dict[bytes, _Row] = {}
        self._unwritten: list[Index] = []

    def find(self, leaf: bytes) -> Place | None:
        """Where a chunk with that leaf is."""
        found = self._fresh.get(leaf) or self._base.get(leaf)
        if found is not None:
            return Place(*found)
        for table in self._own:
            place = table.find(leaf)
            if place is not None:
                return place
        for table in self._known:
            place = table.find(leaf)
            if place is not None and (self._presence is None or self._presence.has(place)):
                return place
        return None

    def add(self, leaf: bytes, place: Place) -> None:
        """A chunk that this backup stored."""
        self._fresh[leaf] = (place.pack, place.offset, place.length)
        if len(self._fresh) >= self._spill_at:
            self._spill()

    def add_segment(self, segment: Segment, spoilt: Spoilt) -> None:
        """Remember the chunks of a segment of the base, those left out that are wrong."""
        for leaf, pack, offset, length in segment.stored():
            if spoilt.has(Place(pack, offset, length)):
                continue
            if len(self._base) >= self._spill_at:
                return
            self._base.setdefault(leaf, (pack, offset, length))

    def finished(self, *, last: bool = False) -> Iterator[Index]:
        """What was added since, as indexes to put: full ones, and with `last` all the rest."""
        if last:
            self._spill()
        while self._unwritten and (last or len(self._unwritten) >= self._lots):
            some, self._unwritten = self._unwritten[: self._lots], self._unwritten[self._lots :]
            yield merge(some)

    def _spill(self) -> None:
        if not self._fresh:
            return
        index = make_index(self._fresh)
        self._unwritten.append(index)
        own = (*self._own, make_table(index))
        while len(own) > 1 and len(own) * self._spill_at > self._capacity:
            own = own[1:]
        self._own = own
        self._fresh = {}
