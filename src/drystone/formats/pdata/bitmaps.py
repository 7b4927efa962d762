"""Space maps: how often each block is referred to, as it is stored. Two bits a block in bitmaps, and a btree of the
counts from 3 on.

There are two kinds. The metadata space map has its index entries in one block, and so at most 255 bitmaps; the one of a
data device has them in a btree. Source: persistent-data/dm-space-map-common.c of Linux 6.1.

Bitmaps and the btree of counts are read side by side, both ascending, so that memory is bounded by a batch of each.

Beside the counts there are sums of them. The kernel takes only what a bitmap says is free, so that no wrong sum makes
it hand out a block in use. What it does with them (dm-space-map-{common,disk,metadata}.c and dm-thin.c of Linux 6.1):

* nr_blocks - nr_allocated of the root, in 64 bits that wrap round, is the room it tells: in the status, at the low
  water mark, and where a pool stops as it is full. nr_allocated too high: it stops so many blocks early. Too low, or
  above nr_blocks: it goes on until no block is found. A pool that finds none for its metadata throws its transaction
  away, turns read-only and asks for a check.
* nr_free of an index entry: a search passes by bitmaps that have none. Too low: so many free blocks of the bitmap are
  not found, until as many are freed. Too high: a full bitmap is searched, and found full.
* none_free_before of an index entry: where a search of the bitmap begins. Too high: what is free before it is not
  found, until a block before it is freed. Too low: the search takes longer.

So a root promises room, and index entries can hide it. As long as the root promises no more than is found, wrong sums
cost only the blocks that they hide (Damage.hides_room). thin_restore 0.9 writes such: one free block is hidden by all
three. A root that promises more, by its own fault or by that of the index, lets a pool run into its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import TreeKind
from drystone.formats.pdata.checksum import BITMAP, INDEX_BLOCK, checksum_blocks
from drystone.formats.pdata.damage import Damage, LostKeys
from drystone.formats.pdata.layout import (
    BITMAP_BLOCK,
    COUNT,
    ENTRIES_A_BITMAP,
    INDEX_ENTRY,
    INDEX_RECORD,
    MOST_BITMAPS,
    RAW_COUNTS,
)
from drystone.formats.pdata.spacemap import DATA_MAP, METADATA_MAP, SpaceMapRoot
from drystone.formats.pdata.survey import MOST_DAMAGES, Survey

__all__ = [
    "BITMAPS_AT_ONCE",
    "ENTRIES_A_BITMAP",
    "UNKNOWN",
    "CountBatch",
    "SpaceMapKind",
    "iter_counts",
    "survey_counts",
]

BITMAPS_AT_ONCE = 32
"""Bitmaps read at once: two megabytes of counts."""

UNKNOWN = 0xFFFFFFFF
"""A count that cannot be read: it is 3 or more, and its entry in the btree is lost."""

_MOST_COUNTED = 1 << 62
"""Blocks that a space map is taken to count, whatever its root says: block numbers fit 64 bits with a sign."""

_MANY = 3
"""What the bits of a block say whose count is in the btree."""

_COUNTS_OF_BYTE = (
    np.array([[RAW_COUNTS[byte >> shift & 3] for shift in (0, 2, 4, 6)] for byte in range(256)], dtype=np.uint8)
    .view("<u4")
    .reshape(-1)
)
"""Byte of a bitmap -> its four counts, as the four bytes of a number."""


class SpaceMapKind(Enum):
    """Which of the two; the value is its name in messages."""

    METADATA = METADATA_MAP
    DATA = DATA_MAP


@dataclass(frozen=True, slots=True)
class CountBatch:
    """Counts of neighbouring blocks: block `begin + i` has `counts[i]` references.

    :ivar begin: a multiple of ENTRIES_A_BITMAP. :ivar counts: uint32; UNKNOWN only out of a survey.
    :ivar index: the index entries of these bitmaps, fields blocknr, nr_free, none_free_before (layout.INDEX_ENTRY).
    """

    begin: int
    counts: NDArray[np.uint32]
    index: NDArray[Any]

    def __len__(self) -> int:
        return len(self.counts)


def iter_counts(
    reader: BlockReader, kind: SpaceMapKind, root: SpaceMapRoot, *, batch: int = BITMAPS_AT_ONCE
) -> Iterator[CountBatch]:
    """The counts of all root.nr_blocks blocks, ascending: out of at most `batch` bitmaps at a time.

    :raises DamagedError: at the first damage; see survey_counts.
    """
    return survey_counts(Survey(reader, strict=True), kind, root, count=False, batch=batch)


def survey_counts(
    survey: Survey,
    kind: SpaceMapKind,
    root: SpaceMapRoot,
    *,
    count: bool = True,
    batch: int = BITMAPS_AT_ONCE,
) -> Iterator[CountBatch]:
    """The counts that can be read of a space map that may be damaged, ascending; damages are listed in `survey`, with
    the blocks whose counts are lost as keys. Counts the references to the map's own blocks, unless `count` is False.

    Listed too, without loss: counts in the btree that are not used, places in use beyond the last block; and at the
    end, when it is known which of them only hide room, nr_allocated of the root and index entries whose nr_free or
    none_free_before do not fit their bitmap. In the last bitmap, nr_free may count the places beyond the last block, as
    the kernel does, or leave them out; none_free_before may be below the first free place. nr_free that is too high
    hides nothing, and is listed at once.
    """
    return _CountsWalk(survey, kind, root, count=count, batch=batch).run()


class _CountsWalk:
    """One walk over a space map."""

    def __init__(self, survey: Survey, kind: SpaceMapKind, root: SpaceMapRoot, *, count: bool, batch: int) -> None:
        self.survey = survey
        self.kind = kind
        self.root = root
        self.count = count
        self.batch = batch
        self.nr_blocks = min(root.nr_blocks, _MOST_COUNTED)
        self.bitmaps = -(-self.nr_blocks // ENTRIES_A_BITMAP)
        self.allocated = 0
        self.findable = 0
        self.hiding: list[tuple[str, int | str, int]] = []
        self.lost = False
        self.counts_name = f"counts of the {kind.value}"
        self.count_damages: list[Damage] = []
        self.lost_counts = LostKeys(())
        self.looked_at = 0
        self.many = _ManyCounts(self._read_tree(self.counts_name, COUNT, root.ref_count_root, 1))

    def run(self) -> Iterator[CountBatch]:
        """See survey_counts."""
        due = 0
        before = len(self.survey.damages)
        for keys, entries in self._read_index():
            due = self._report_gaps(due, keys, before)
            inside = keys < np.uint64(self.bitmaps)
            numbers, entries_inside = keys[inside].astype(np.int64), entries[inside]
            for begin in range(0, len(numbers), self.batch):
                part = slice(begin, begin + self.batch)
                yield from self._read_bitmaps(numbers[part], entries_inside[part])
        self._report_gaps(due, np.array([self.bitmaps], dtype=np.uint64), before)
        beyond = self.many.find_beyond(self.nr_blocks)
        if beyond is not None:
            self._note("entry in the tree of counts", f"below {self.nr_blocks}", beyond)
        self._judge_sums()

    def _judge_sums(self) -> None:
        """Report the sums that hide room or promise it: all only hide when the root promises no more than is found."""
        if not self.lost and self.allocated != self.root.nr_allocated:
            self.hiding.append(("number of blocks in use", self.allocated, self.root.nr_allocated))
        promised = (self.root.nr_blocks - self.root.nr_allocated) % (1 << 64)
        hides_room = not self.lost and promised <= self.findable
        for what, expected, found in self.hiding:
            self._note(what, expected, found, hides_room=hides_room)

    def _read_tree(self, name: str, value: np.dtype[Any], root: int, per_key: int) -> Iterator[tuple[Any, Any]]:
        tree = TreeKind(name, value, per_key, self.nr_blocks)
        return self.survey.visit_tree(tree, root) if self.count else self.survey.iter_entries(tree, root)

    def _read_index(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[Any]]]:
        """Numbers of bitmaps and their index entries, ascending."""
        if self.kind is SpaceMapKind.DATA:
            yield from self._read_tree(
                f"index of the {self.kind.value}", INDEX_ENTRY, self.root.bitmap_root, ENTRIES_A_BITMAP
            )
            return
        survey, place = self.survey, self.root.bitmap_root
        if not 0 < place < survey.limit:
            self._lose(place, "index block", f"1 to {survey.limit - 1}", place, 0, self.nr_blocks)
            return
        if self.count:
            survey.count_block(place, f"index of the {self.kind.value}")
        data = survey.reader.read_blocks(np.array([place], dtype=np.uint64))
        index = data.view(INDEX_RECORD).reshape(-1)
        for what, found, expected in (
            ("checksum", int(index["csum"][0]), int(checksum_blocks(data, INDEX_BLOCK)[0])),
            ("location", int(index["blocknr"][0]), place),
        ):
            if found != expected:
                self._lose(place, f"index: {what}", expected, found, 0, self.nr_blocks)
                return
        bitmaps = min(self.bitmaps, MOST_BITMAPS)
        yield np.arange(bitmaps, dtype=np.uint64), index["entries"][0, :bitmaps]

    def _report_gaps(self, due: int, keys: NDArray[np.uint64], before: int) -> int:
        """Report bitmaps that are missing from `due` on and up to the last of `keys`, and not by damage that was
        reported since there were `before`. What is due next.
        """
        if not len(keys):
            return due
        ends = keys[keys < np.uint64(self.bitmaps)].astype(np.int64)
        if keys[-1] >= np.uint64(self.bitmaps):
            ends = np.append(ends, self.bitmaps)
        begins = np.concatenate(([due], ends[:-1] + 1))
        places = np.flatnonzero(begins < ends).tolist()
        lost = LostKeys(self.survey.damages[before:] if places else ())
        for place in places:
            self._report_gap(int(begins[place]), int(ends[place]), lost)
        return int(ends[-1]) + 1 if len(ends) else due

    def _report_gap(self, begin: int, end: int, lost: LostKeys) -> None:
        low, high = begin * ENTRIES_A_BITMAP, min(end * ENTRIES_A_BITMAP, self.nr_blocks)
        self.lost = True
        for first, last in lost.list_gaps(low, high):
            found = "none" if end == self.bitmaps else end
            self._lose(self.root.bitmap_root, "index: number of a bitmap", begin, found, first, last)

    def _read_bitmaps(self, numbers: NDArray[np.int64], entries: NDArray[Any]) -> Iterator[CountBatch]:
        """The counts in these bitmaps: a batch for each run of neighbours that are sound."""
        blocks = entries["blocknr"]
        begins = numbers * ENTRIES_A_BITMAP
        sizes = np.minimum(self.nr_blocks - begins, ENTRIES_A_BITMAP)
        sound = (blocks > 0) & (blocks < np.uint64(self.survey.limit))
        for place in np.flatnonzero(~sound).tolist():
            due = f"1 to {self.survey.limit - 1}"
            self._lose_bitmap(self.root.bitmap_root, "pointer to a bitmap", due, blocks[place], begins[place])
        if self.count:
            self.survey.visit_blocks(blocks[sound].astype(np.uint64), f"bitmap of the {self.kind.value}")
        data = self.survey.reader.read_blocks(np.where(sound, blocks, np.uint64(0)))
        records: NDArray[Any] = data.view(BITMAP_BLOCK).reshape(-1)
        for what, found, expected in (
            ("checksum", records["csum"], checksum_blocks(data, BITMAP)),
            ("location", records["blocknr"], blocks),
        ):
            for place in np.flatnonzero(sound & (found != expected)).tolist():
                sound[place] = False
                block, right = int(blocks[place]), int(expected[place])
                self._lose_bitmap(block, f"bitmap: {what}", right, found[place], begins[place])
        few = _COUNTS_OF_BYTE[records["bits"]].view(np.uint8).reshape(len(records), ENTRIES_A_BITMAP)
        self._check_index(numbers, entries, few, sound)
        breaks = np.flatnonzero((np.diff(numbers) != 1) | (sound[1:] != sound[:-1])) + 1
        for run in np.split(np.arange(len(numbers)), breaks):
            if len(run) and sound[run[0]]:
                begin = int(begins[run[0]])
                size = int(begins[run[-1]] + sizes[run[-1]]) - begin
                here = few[run[0] : run[-1] + 1].reshape(-1)[:size]
                self.allocated += int(np.count_nonzero(here))
                counts = here.astype(np.uint32)
                self._fill_in(counts, np.flatnonzero(here == _MANY), begin, blocks[run])
                yield CountBatch(begin, counts, entries[run])

    def _check_index(
        self, numbers: NDArray[np.int64], entries: NDArray[Any], few: NDArray[np.uint8], sound: NDArray[np.bool_]
    ) -> None:
        """Add up the free blocks that the index lets the kernel find, and look for entries that do not fit."""
        for place in np.flatnonzero(sound).tolist():
            row, number = few[place], int(numbers[place])
            nr_free, before = int(entries["nr_free"][place]), int(entries["none_free_before"][place])
            # Of the last bitmap only the first places stand for blocks.
            here = row[: self.nr_blocks - number * ENTRIES_A_BITMAP]
            free, free_here, passed_by = (_count_free(part) for part in (row, here, here[:before]))
            beyond = int(np.count_nonzero(row[len(here) :]))
            if beyond:
                # The kernel keeps the bitmap when the space grows: those blocks would be in use from the start.
                self._note(f"places in use of bitmap {number} beyond the last block", 0, beyond)
            self.findable += min(nr_free, free_here - passed_by)
            what = f"number of free blocks in bitmap {number}"
            if nr_free < free_here:
                self._keep(what, free_here, nr_free)
            elif nr_free not in {free_here, free}:
                self._note(what, free_here, nr_free)
            if before > ENTRIES_A_BITMAP or _count_free(row[:before]):
                first = int((row == 0).argmax()) if free else ENTRIES_A_BITMAP
                self._keep(f"place before which bitmap {number} has none free", f"at most {first}", before)

    def _fill_in(
        self, counts: NDArray[np.uint32], places: NDArray[np.int64], begin: int, bitmaps: NDArray[np.uint64]
    ) -> None:
        """Put the counts of the btree where the bitmaps say that there is one: at `places`."""
        blocks, values = self.many.take(begin, begin + len(counts))
        if not len(places) and not len(blocks):
            return
        counts[places] = UNKNOWN
        here = blocks.astype(np.int64) - begin
        used = counts[here] == UNKNOWN
        for place in np.flatnonzero(~used).tolist():
            self._note("entry in the tree of counts", f"none for block {blocks[place]}", int(values[place]))
        counts[here[used]] = values[used]
        for place in np.flatnonzero(used & (values < _MANY)).tolist():
            self._note(f"count of block {blocks[place]} in the tree of counts", "3 or more", int(values[place]))
        if (counts == UNKNOWN).any():
            self._report_unknown(counts == UNKNOWN, begin, bitmaps)

    def _report_unknown(self, unknown: NDArray[np.bool_], begin: int, bitmaps: NDArray[np.uint64]) -> None:
        """Report counts that are missing in the btree and not by damage to it that was reported."""
        told = np.ones(len(unknown), dtype=np.bool_)
        for low, end in self._find_lost_counts().list_gaps(begin, begin + len(unknown)):
            told[low - begin : end - begin] = False
        places = np.flatnonzero(unknown & ~told)
        for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
            if len(run):
                low, bitmap = begin + int(run[0]), int(bitmaps[int(run[0]) // ENTRIES_A_BITMAP])
                what = f"count of block {low} in the tree of counts"
                self._lose(bitmap, what, "3 or more", "none", low, begin + int(run[-1]) + 1)

    def _find_lost_counts(self) -> LostKeys:
        """Blocks whose counts are lost by damage to the btree that was reported so far."""
        new = self.survey.damages[self.looked_at :]
        self.looked_at += len(new)
        if new := [damage for damage in new if damage.tree == self.counts_name]:
            self.count_damages += new
            self.lost_counts = LostKeys(self.count_damages)
        return self.lost_counts

    def _lose_bitmap(self, block: int, what: str, expected: int | str, found: Any, begin: Any) -> None:
        end = min(int(begin) + ENTRIES_A_BITMAP, self.nr_blocks)
        self._lose(block, what, expected, int(found), int(begin), end)

    def _lose(self, block: int, what: str, expected: int | str, found: int | str, low: int, high: int) -> None:
        """Report a damage that loses the counts of the blocks low to high, excluded."""
        self.lost = True
        self.survey.report(Damage(block, self.kind.value, what, expected, found, low, high - 1))

    def _note(self, what: str, expected: int | str, found: int, *, hides_room: bool = False) -> None:
        """Report a damage that loses nothing."""
        damage = Damage(self.root.bitmap_root, self.kind.value, what, expected, found, hides_room=hides_room)
        self.survey.report(damage)

    def _keep(self, what: str, expected: int | str, found: int) -> None:
        """Keep an index entry that hides room until the sum of the root is known; no more than a survey keeps."""
        if len(self.hiding) < MOST_DAMAGES:
            self.hiding.append((what, expected, found))
        else:
            self._note(what, expected, found)


def _count_free(few: NDArray[np.uint8]) -> int:
    """How many of these counts are 0."""
    return len(few) - int(np.count_nonzero(few))


class _ManyCounts:
    """The btree of counts, taken range by range, ascending."""

    def __init__(self, entries: Iterator[tuple[NDArray[np.uint64], NDArray[Any]]]) -> None:
        self._entries = entries
        self._keys = np.zeros(0, dtype=np.uint64)
        self._values = np.zeros(0, dtype=np.uint32)
        self._done = False

    def take(self, begin: int, end: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Entries of the blocks begin to end, excluded; those below are skipped."""
        while not self._done and (not len(self._keys) or int(self._keys[-1]) < end):
            if len(self._keys) and int(self._keys[-1]) < begin:
                self._drop()
            self._fetch()
        first, last = np.searchsorted(self._keys, np.array([begin, end], dtype=np.uint64)).tolist()
        found = self._keys[first:last], self._values[first:last]
        self._keys, self._values = self._keys[last:], self._values[last:]
        return found

    def find_beyond(self, end: int) -> int | None:
        """The first of the blocks from `end` on, None when there is none; the tree is read to its end."""
        beyond: int | None = None
        while True:
            if beyond is None and len(self._keys) and int(self._keys[-1]) >= end:
                beyond = int(self._keys[np.searchsorted(self._keys, np.uint64(end))])
            if self._done:
                return beyond
            self._drop()
            self._fetch()

    def _drop(self) -> None:
        self._keys, self._values = self._keys[:0], self._values[:0]

    def _fetch(self) -> None:
        found = next(self._entries, None)
        if found is None:
            self._done = True
            return
        self._keys = np.concatenate((self._keys, found[0]))
        self._values = np.concatenate((self._values, found[1].astype(np.uint32)))
