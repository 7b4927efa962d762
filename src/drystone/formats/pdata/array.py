"""Arrays of persistent-data: a btree from the index of an array block to the block that holds those entries.

Every array block is full but the last. Source: persistent-data/dm-array.c of Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.array_blocks import find_array_faults, view_array_blocks
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import BATCH, TreeKind
from drystone.formats.pdata.damage import Damage, LostKeys
from drystone.formats.pdata.layout import POINTER, count_array_entries
from drystone.formats.pdata.survey import Survey


@dataclass(frozen=True, slots=True)
class ArrayKind:
    """What an array holds.

    :ivar name: for messages: `era array`.
    :ivar value: dtype of an entry.
    :ivar per_entry: how many things that are counted elsewhere stand behind an entry: 64 bits behind a bitset's word.
    """

    name: str
    value: np.dtype[Any]
    per_entry: int = 1


@dataclass(frozen=True, slots=True)
class ArrayBatch:
    """Neighbouring entries: entry `begin + i` is `values[i]`; at least one."""

    begin: int
    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)


def iter_array(
    reader: BlockReader, kind: ArrayKind, root: int, length: int, *, batch: int = BATCH
) -> Iterator[ArrayBatch]:
    """All `length` entries, ascending, without gaps: out of at most `batch` blocks at a time.

    :raises DamagedError: at the first damaged block, or the array has another length; what was given out is sound.
    """
    return survey_array(Survey(reader, strict=True, batch=batch), kind, root, length, count=False)


def survey_array(
    survey: Survey,
    kind: ArrayKind,
    root: int,
    length: int,
    *,
    owner: int | None = None,
    count: bool = True,
    end: int | None = None,
) -> Iterator[ArrayBatch]:
    """The sound entries of an array that may be damaged, ascending; damages are listed in `survey`, their keys being
    indices of the array.

    :param count: count references, and read no block twice (an array shared with one that was surveyed before gives
        no entries); False: give out all entries and count nothing.
    :param end: how many things stand behind the array, when it is not a multiple of kind.per_entry.
    """
    return _ArrayWalk(survey, kind, length, owner, end).run(root, count=count)


class _ArrayWalk:
    """One walk over an array of `length` entries."""

    def __init__(self, survey: Survey, kind: ArrayKind, length: int, owner: int | None, end: int | None) -> None:
        self.survey = survey
        self.kind = kind
        self.length = length
        self.owner = owner
        self.per_block = count_array_entries(kind.value.itemsize)
        self.blocks = -(-length // self.per_block)
        self.end = length * kind.per_entry if end is None else end
        self.counting = False
        self.tree = TreeKind(kind.name, POINTER, self.per_block * kind.per_entry, self.end)

    def run(self, root: int, *, count: bool) -> Iterator[ArrayBatch]:
        """See survey_array."""
        new = self._count(root) if count else None
        self.counting = count
        due = 0
        before = len(self.survey.damages)
        for keys, blocks in self.survey.iter_entries(self.tree, root, owner=self.owner):
            due = self._report_gaps(root, due, keys, before)
            sound = self._find_sound(root, keys, blocks)
            for begin in range(0, len(keys), self.survey.batch):
                part = slice(begin, begin + self.survey.batch)
                chosen = sound[part] if new is None else sound[part] & np.isin(blocks[part], new)
                yield from self._read(keys[part][chosen], blocks[part][chosen])
                shared = sound[part] & ~chosen
                if shared.any():
                    self._check_shared(keys[part][shared], blocks[part][shared])
        self._report_gaps(root, due, np.array([self.blocks], dtype=np.uint64), before)

    def _count(self, root: int) -> NDArray[np.uint64]:
        """Count the references of the whole array; its blocks that were not seen before, in ascending order."""
        survey = self.survey
        found = [np.zeros(0, dtype=np.uint64)]
        owners = None if self.owner is None else [self.owner]
        for _, blocks in survey.visit_trees(self.tree, [root], owners=owners, quiet=True):
            inside = blocks[(blocks > 0) & (blocks < np.uint64(survey.limit))]
            found.append(inside[survey.visit_blocks(inside, self._name_block())])
        return np.sort(np.concatenate(found))

    def _report_gaps(self, root: int, due: int, keys: NDArray[np.uint64], before: int) -> int:
        """Report block indices that are missing, from `due` on, between `keys` and not by damage that was reported
        since there were `before`. What is due after `keys`.
        """
        if int(keys[0]) == due and int(keys[-1]) - due == len(keys) - 1:
            return due + len(keys)
        inside = np.concatenate(([due - 1], keys[keys < np.uint64(self.blocks)].view(np.int64)))
        if keys[-1] >= np.uint64(self.blocks):
            inside = np.append(inside, self.blocks)
        places = np.flatnonzero(np.diff(inside) > 1).tolist()
        lost = LostKeys(self.survey.damages[before:] if places else ())
        for place in places:
            low, high = (int(inside[place]) + 1) * self.tree.per_key, int(inside[place + 1]) * self.tree.per_key
            for begin, end in lost.list_gaps(low, min(high, self.end)):
                found = "none" if inside[place + 1] == self.blocks else int(inside[place + 1])
                self._lose(root, "index of an array block", int(inside[place]) + 1, found, begin, end)
        return int(inside[-1]) + 1

    def _find_sound(self, root: int, keys: NDArray[np.uint64], blocks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which entries of the tree lie within the array, and point somewhere. The others are reported."""
        survey = self.survey
        beyond = keys >= np.uint64(self.blocks)
        wild = ((blocks == 0) | (blocks >= np.uint64(survey.limit))) & ~beyond
        if beyond.any():
            first = int(keys[beyond][0])
            self._lose(root, "index of an array block", f"below {self.blocks}", first, 0, 0)
        for place in np.flatnonzero(wild).tolist():
            low = int(keys[place]) * self.tree.per_key
            high = min(low + self.tree.per_key, self.end)
            self._lose(root, "pointer to an array block", f"1 to {survey.limit - 1}", int(blocks[place]), low, high)
        sound: NDArray[np.bool_] = ~(beyond | wild)
        return sound

    def _read(self, keys: NDArray[np.uint64], numbers: NDArray[np.uint64]) -> Iterator[ArrayBatch]:
        """The entries of these blocks: a batch for each run of neighbours that are sound."""
        if not len(keys):
            return
        data = self.survey.reader.read_blocks(numbers)
        blocks = view_array_blocks(data, self.kind.value)
        begins = keys.astype(np.int64) * self.per_block
        sizes = np.minimum(self.length - begins, self.per_block)
        sound = self._check(data, numbers, begins, sizes)
        if self.counting:
            self.survey.visits.entries[numbers] = sizes
            self.survey.visits.torn[numbers[~sound]] = True
        breaks = np.flatnonzero((np.diff(begins) != self.per_block) | (sound[1:] != sound[:-1])) + 1
        for run in np.split(np.arange(len(keys)), breaks):
            if sound[run[0]]:
                values = blocks["values"][run[0] : run[-1] + 1].reshape(-1)
                begin = int(begins[run[0]])
                yield ArrayBatch(begin, values[: int(begins[run[-1]] + sizes[run[-1]]) - begin])

    def _check(
        self,
        data: NDArray[np.uint8],
        numbers: NDArray[np.uint64],
        begins: NDArray[np.int64],
        sizes: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Which blocks are sound; the first thing wrong with each of the others is reported."""
        sound = np.ones(len(numbers), dtype=np.bool_)
        for fault in find_array_faults(data, self.kind.value, numbers, sizes):
            sound[fault.place] = False
            begin, size = int(begins[fault.place]), int(sizes[fault.place])
            self._lose_entries(int(numbers[fault.place]), fault.what, fault.expected, fault.found, begin, size)
        return sound

    def _check_shared(self, keys: NDArray[np.uint64], numbers: NDArray[np.uint64]) -> None:
        """Whether blocks that were read before, for another array, have the entries that are due here."""
        visits = self.survey.visits
        same = visits.kinds[numbers] == visits.number_kind(self._name_block())
        known = same & ~visits.torn[numbers]
        keys, numbers = keys[known], numbers[known]
        begins = keys.astype(np.int64) * self.per_block
        sizes = np.minimum(self.length - begins, self.per_block)
        found = visits.entries[numbers].astype(np.int64)
        for place in np.flatnonzero(found != sizes).tolist():
            begin, size = int(begins[place]), int(sizes[place])
            self._lose_entries(int(numbers[place]), "number of entries", size, int(found[place]), begin, size)

    def _name_block(self) -> str:
        return f"block of the {self.kind.name}"

    def _lose_entries(
        self, block: int, what: str, expected: int | str, found: int | str, begin: int, count: int
    ) -> None:
        """Report a damage that loses `count` entries from `begin` on."""
        high = min((begin + count) * self.kind.per_entry, self.end)
        self._lose(block, what, expected, found, begin * self.kind.per_entry, high)

    def _lose(self, block: int, what: str, expected: int | str, found: int | str, low: int, high: int) -> None:
        """Report a damage that loses what is behind the array from `low` to `high`, excluded."""
        self.survey.report(Damage(block, self.kind.name, what, expected, found, low, high - 1, self.owner))
