"""The exact mark: every record that a backup needs, by the maps of all backups.

Each distinct segment of the maps is read once, by threads; backups share most of theirs. Of a place in a pack that was
moved, the record counts that a reader would find: the one in the new pack. Memory: 12 bytes a record and 200 a segment,
and the indexes of packs that were moved to, within bounds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.collecting.places import PlaceSet
from drystone.backup.format import segment as segments
from drystone.backup.format.digest import DIGEST, checksum
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import INDEX, Kind, Place
from drystone.backup.format.segment import Segment
from drystone.backup.objects import pack_sizes
from drystone.backup.pipeline import ordered
from drystone.backup.reading.locate import Locator, moved_to, reach, read_pack_index
from drystone.backup.reading.segments import find_segment
from drystone.backup.state.document import State
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError

_TABLES = 256
_WORDS = DIGEST // 8
_PRINT = 16

Words = NDArray[np.uint64]
"""Digests: shape (n, 4)."""


@dataclass(frozen=True, slots=True)
class Found:
    """Records in one pack: offsets and lengths in bytes."""

    pack: bytes
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Table:
    """A pack's chunks, by digest."""

    first: NDArray[np.uint64]
    words: Words
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]


class Resolver:
    """Finds where the chunks of a map are, all of a segment at once. For several threads.

    Records that are known as damaged count only where there is no other copy: so the only one is never given up.

    :ivar unreadable: packs that were moved to and whose index cannot be read: what is in them is not known.
    """

    def __init__(self, vault: Vault, state: State) -> None:
        self._vault = vault
        self._state = state
        self.unreadable: set[bytes] = set()
        self._tables: OrderedDict[bytes, tuple[_Table, _Table]] = OrderedDict()
        self._there: dict[bytes, bool] = {}
        self._lock = threading.Lock()

    def find(self, segment: Segment) -> list[Found]:
        """The records of a segment's chunks."""
        present = segment.present()
        packs, offset, length = segment.pack[present], segment.offset[present], segment.length[present]
        words = np.ascontiguousarray(segment.leaves[present]).view("<u8").reshape(-1, _WORDS)
        found = []
        for number in np.unique(packs).tolist():
            rows = np.flatnonzero(packs == number)
            found += self._find(segment.packs[number], words[rows], offset[rows], length[rows])
        return found

    def _find(self, pack: bytes, words: Words, offset: NDArray[np.uint32], length: NDArray[np.uint32]) -> list[Found]:
        found = []
        left = np.ones(len(words), dtype=bool)
        targets = moved_to(self._state, pack)
        todo = [(each, 0) for each in targets]
        if targets and not self._is_there(pack):
            todo += [(each, 1) for each in targets]
        for target, which in todo:
            table = self._read_tables(target)[which]
            if not len(table.first) or not left.any():
                continue
            rows = np.flatnonzero(left)
            at = _look_up(table, words[rows])
            hit = at >= 0
            found.append(Found(target, table.offset[at[hit]], table.length[at[hit]]))
            left[rows[hit]] = False
        found.append(Found(pack, offset[left], length[left]))
        return [each for each in found if len(each.offset)]

    def _is_there(self, pack: bytes) -> bool:
        with self._lock:
            known = self._there.get(pack)
        if known is None:
            known = pack in pack_sizes(self._vault, pack.hex()[:2])
            with self._lock:
                self._there[pack] = known
        return known

    def _read_tables(self, pack: bytes) -> tuple[_Table, _Table]:
        """The index at the end of a pack: what is sound, and what is known as damaged. Empty when it cannot be read."""
        with self._lock:
            if pack in self._tables:
                self._tables.move_to_end(pack)
                return self._tables[pack]
        try:
            entries = read_pack_index(self._vault, pack)
        except DamagedError:
            entries = np.empty(0, dtype=INDEX)
            self.unreadable.add(pack)
        wrong = np.isin(entries["offset"], self._state.damaged.get(pack.hex(), ()))
        tables = _make_table(entries[~wrong]), _make_table(entries[wrong])
        with self._lock:
            self._tables[pack] = tables
            while len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
        return tables


def _make_table(entries: NDArray[np.void]) -> _Table:
    rows = entries[entries["kind"] == Kind.CHUNK]
    words = np.frombuffer(rows["digest"].tobytes(), "<u8").reshape(-1, _WORDS)
    order = np.argsort(words[:, 0], kind="stable")
    return _Table(words[order, 0], words[order], rows["offset"][order], rows["length"][order])


def _look_up(table: _Table, words: Words) -> NDArray[np.int64]:
    """For each digest the row of the table that has it, or -1."""
    found = np.full(len(words), -1, dtype=np.int64)
    at = np.searchsorted(table.first, words[:, 0])
    waiting = np.arange(len(words))
    while len(waiting):
        waiting = waiting[at[waiting] < len(table.first)]
        waiting = waiting[table.first[at[waiting]] == words[waiting, 0]]
        same = (table.words[at[waiting]] == words[waiting]).all(axis=1)
        found[waiting[same]] = at[waiting[same]]
        waiting = waiting[~same]
        at[waiting] += 1
    return found


@dataclass(frozen=True, slots=True)
class _Read:
    """A segment: where it is, its chunks, and prints of which one it is and of what it says."""

    place: Place
    found: list[Found]
    name: bytes
    content: bytes


class Mark:
    """What is needed, as far as manifests were added.

    :ivar chunks, segments: places of the records. :ivar damages: what cannot be read.
    """

    def __init__(self, vault: Vault, state: State, threads: int) -> None:
        self.locator = Locator(vault, state)
        self._resolver = Resolver(vault, state)
        self._threads = threads
        self._numbers: dict[bytes, int] = {}
        self._seen = np.empty(0, dtype=np.uint64)
        self._bad: set[int] = set()
        self.chunks = PlaceSet()
        self.segments = PlaceSet()
        self._uncertain: set[bytes] = set()
        self._prints: dict[bytes, bytes] = {}
        self._rivals: set[bytes] = set()
        self.damages: list[DamagedError] = []

    @property
    def uncertain(self) -> set[bytes]:
        """Packs of which all may be needed, whatever is marked.

        Those of backups a segment of whose map cannot be read, and what they were moved to; those whose own index
        cannot be read; and those with a record of a segment of which an earlier one names other places: in one pack a
        reader could not tell the two apart.
        """
        return self._uncertain | self._resolver.unreadable | self._rivals

    def add(self, manifest: Manifest) -> None:
        """Mark what a backup needs; segments that were met in another one cost nothing."""
        packs = [bytes(each) for each in manifest.packs["id"]]
        numbers = np.array([self._numbers.setdefault(pack, len(self._numbers)) for pack in packs], dtype=np.uint64)
        table = manifest.segments
        keys = (numbers[table["pack"]] << np.uint64(32)) + table["offset"] if len(table) else self._seen[:0]
        if not self._bad.isdisjoint(keys.tolist()):
            self._uncertain |= reach(self.locator.state, packs)
        fresh = np.flatnonzero(~np.isin(keys, self._seen))
        if not len(fresh):
            return

        def read(row: int) -> _Read | DamagedError:
            return self._read(manifest, int(table["number"][row]))

        with ThreadPoolExecutor(self._threads, thread_name_prefix="mark") as pool:
            for row, result in zip(fresh.tolist(), ordered(pool, read, fresh.tolist(), 4 * self._threads), strict=True):
                if isinstance(result, DamagedError):
                    self._bad.add(int(keys[row]))
                    self._uncertain |= reach(self.locator.state, packs)
                    self.damages.append(result)
                    continue
                place = result.place
                self.segments.add(place.pack, _one(place.offset), _one(place.length))
                if self._prints.setdefault(result.name, result.content) != result.content:
                    self._rivals.add(place.pack)
                for each in result.found:
                    self.chunks.add(each.pack, each.offset, each.length)
        self._seen = np.union1d(self._seen, keys[fresh])

    def _read(self, manifest: Manifest, number: int) -> _Read | DamagedError:
        try:
            found = find_segment(self.locator, manifest, number)
        except DamagedError as error:
            return error
        assert found is not None
        segment, place = found
        name = checksum(segment.number.to_bytes(4, "little") + segment.leaves.tobytes())[:_PRINT]
        return _Read(place, self._resolver.find(segment), name, checksum(segments.encode(segment))[:_PRINT])

    def kind_of(self, pack: bytes) -> Kind:
        """What is in a pack that is marked."""
        return Kind.SEGMENT if self.segments.sums(pack)[0] else Kind.CHUNK

    def used(self, pack: bytes) -> tuple[int, int]:
        """(records, bytes) that are needed in a pack."""
        pairs = (self.chunks.sums(pack), self.segments.sums(pack))
        return pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]

    def packs(self) -> set[bytes]:
        """The packs in which something is needed."""
        return self.chunks.packs() | self.segments.packs()


def _one(value: int) -> NDArray[np.uint32]:
    return np.array([value], dtype=np.uint32)
