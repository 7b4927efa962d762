"""Leaves of mapping trees as rows of a dump: runs of mappings, with references and definitions between them.

Mappings whose virtual and data blocks go up side by side and have one time are one row, also across leaves, but not
across a mark: a reference, or where a definition begins or ends. All is done with arrays, a batch of leaves at a time.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import BATCH
from drystone.formats.thin import layout
from drystone.formats.thin.extents import Runs, join_runs
from drystone.formats.thin.leaves import Leaves, iter_leaves
from drystone.formats.thin.mappings import get_data_blocks, get_times

_NEXT_VALUE = np.uint64(1 << layout.TIME_BITS)
"""What the next data block adds to a mapping's value, the time being the same."""


class Row(enum.IntEnum):
    """What a row of Lines is."""

    MAPPING = 0
    REF = 1
    DEF = 2
    DEF_END = 3


@dataclass(frozen=True, slots=True)
class Marks:
    """Rows that are no mappings, in order.

    :ivar at: int64, ascending: before which of the leaves it comes; the number of leaves for after the last.
    :ivar kinds: uint8, REF, DEF or DEF_END. :ivar names: uint64, of the REF and DEF among them: the metadata block of
        the first leaf.
    """

    at: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    names: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows in order.

    :ivar kinds: uint8, a Row each. :ivar runs: of the mappings among them. :ivar names: of the REF and DEF among them.
    """

    kinds: NDArray[np.uint8]
    runs: Runs
    names: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.kinds)


_NO_BLOCKS = np.empty(0, dtype=np.uint64)
NO_RUNS = Runs(_NO_BLOCKS, _NO_BLOCKS, np.empty(0, dtype=np.uint32), _NO_BLOCKS)


def read_lines(reader: BlockReader, leaves: Leaves, marks: Marks, *, batch: int = BATCH) -> Iterator[Lines]:
    """The rows out of `leaves`, with the marks where they belong. One run is held back from batch to batch.

    :raises DamagedError: at the first damaged leaf.
    """
    held = NO_RUNS
    named = np.concatenate(([0], np.cumsum((marks.kinds == Row.REF) | (marks.kinds == Row.DEF))))
    first = 0
    begin = 0
    for entries in iter_leaves(reader, leaves, batch=batch):
        keys, values = entries.keys, entries.values
        last = int(np.searchsorted(marks.at, begin + len(entries.leaves), side="left"))
        starts = np.concatenate(([0], np.cumsum(entries.counts)))
        cuts = starts[marks.at[first:last] - begin]
        breaks = _find_breaks(keys, values)
        breaks[cuts[cuts < len(keys)]] = True
        begins = np.flatnonzero(breaks)
        runs = _make_runs(keys, values, begins)
        if len(held):
            runs = join_runs(held, runs, may_merge=not len(cuts) or int(cuts[0]) > 0)
        places = np.searchsorted(begins, cuts) + (len(runs) - len(begins)) + np.arange(last - first)
        lines = _weave(runs, places, marks.kinds[first:last], marks.names[named[first] : named[last]])
        first = last
        begin += len(entries.leaves)
        if len(lines) and lines.kinds[-1] == Row.MAPPING:
            held = lines.runs[-1:]
            lines = Lines(lines.kinds[:-1], lines.runs[:-1], lines.names)
        else:
            held = NO_RUNS
        if len(lines):
            yield lines
    places = np.arange(len(held), len(held) + len(marks.at) - first)
    lines = _weave(held, places, marks.kinds[first:], marks.names[named[first] :])
    if len(lines):
        yield lines


def _find_breaks(keys: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where a mapping does not go on from the one before it; the first one does not."""
    breaks = np.ones(len(keys), dtype=np.bool_)
    np.logical_or(keys[1:] - keys[:-1] != 1, values[1:] - values[:-1] != _NEXT_VALUE, out=breaks[1:])
    # From the last possible data block the difference wraps around to block 0.
    if len(values) and int(values.max()) >> layout.TIME_BITS == (1 << 40) - 1:
        breaks[1:] |= values[1:] < _NEXT_VALUE
    return breaks


def _make_runs(keys: NDArray[np.uint64], values: NDArray[np.uint64], begins: NDArray[np.int64]) -> Runs:
    lengths = np.diff(np.append(begins, len(keys))).astype(np.uint64)
    firsts = values[begins]
    return Runs(keys[begins], get_data_blocks(firsts), get_times(firsts), lengths)


def _weave(runs: Runs, places: NDArray[np.int64], kinds: NDArray[np.uint8], names: NDArray[np.uint64]) -> Lines:
    """Lines of these runs, with rows of `kinds` at `places`, ascending, between them."""
    every = np.zeros(len(runs) + len(kinds), dtype=np.uint8)
    every[places] = kinds
    return Lines(every, runs, names)
