"""What a survey remembers of each block that it came across, as arrays over all blocks of the device.

The arrays take memory a page at a time, where blocks were visited: some 28 bytes for each. What an internal node says
of the tree below it is summed up after a walk, from the lowest level upwards (Lineage).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

_MOST_KINDS = (1 << 16) - 1
"""Kinds that are told apart; all that come later count as the last one."""


class Visits:
    """Kind and height of each block, and what is below it.

    :ivar kinds: 0 for a block that was not seen, else the place of its kind in `names`, from 1 on.
    :ivar heights: levels above the leaves.
    :ivar entries: sound entries in the leaves below. :ivar torn: whether anything below is damaged.
    :ivar firsts: first key of the block. :ivar lasts: last key of the tree below.
    """

    def __init__(self, nr_blocks: int) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self.kinds = np.zeros(nr_blocks, dtype=np.uint16)
        self.heights = np.zeros(nr_blocks, dtype=np.uint8)
        self.torn = np.zeros(nr_blocks, dtype=np.bool_)
        self.entries = np.zeros(nr_blocks, dtype=np.uint64)
        self.firsts = np.zeros(nr_blocks, dtype=np.uint64)
        self.lasts = np.zeros(nr_blocks, dtype=np.uint64)

    def number_kind(self, name: str) -> int:
        """The number that stands for a kind of block in `kinds`."""
        if name not in self._numbers and len(self.names) < _MOST_KINDS:
            self.names.append(name)
            self._numbers[name] = len(self.names)
        return self._numbers.get(name, _MOST_KINDS)

    def find_new(self, blocks: Numbers) -> NDArray[np.bool_]:
        """Which of `blocks` are seen for the first time; of one that is there twice, the first."""
        fresh: NDArray[np.bool_] = self.kinds[blocks] == 0
        if (blocks[1:] > blocks[:-1]).all():
            return fresh
        places = np.unique(blocks, return_index=True)[1]
        if len(places) == len(blocks):
            return fresh
        first = np.zeros(len(blocks), dtype=np.bool_)
        first[places] = True
        return fresh & first

    def mark(self, blocks: Numbers, kind: int, height: int) -> None:
        """Note that `blocks` were seen as blocks of this kind and height."""
        self.kinds[blocks] = kind
        self.heights[blocks] = height

    def note_leaves(self, blocks: Numbers, leaves: NDArray[Any]) -> None:
        """Note what sound leaves hold, given as records of nodes. An empty one leaves its keys undefined."""
        counts = leaves["nr_entries"].astype(np.int64)
        self.entries[blocks] = counts
        self.firsts[blocks] = leaves["keys"][:, 0]
        self.lasts[blocks] = leaves["keys"][np.arange(len(leaves)), np.maximum(counts - 1, 0)]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Sound internal nodes of one height and their children; children without a place to point to are left out.

    :ivar parents: blocks. :ivar counts: children of each. :ivar children: blocks, the first parent's first.
    """

    parents: Numbers
    counts: NDArray[np.int64]
    children: Numbers


def sum_up(visits: Visits, lineages: dict[int, list[Lineage]]) -> None:
    """Fill in what is below internal nodes, out of the lineages by height."""
    for height in sorted(lineages):
        for lineage in lineages[height]:
            filled = lineage.counts > 0
            parents, counts = lineage.parents[filled], lineage.counts[filled]
            if not len(parents):
                continue
            starts = np.cumsum(counts) - counts
            visits.entries[parents] = np.add.reduceat(visits.entries[lineage.children], starts)
            visits.torn[parents] |= np.logical_or.reduceat(visits.torn[lineage.children], starts)
            visits.lasts[parents] = np.maximum.reduceat(visits.lasts[lineage.children], starts)
