"""Checking writesets by the hundred: one by one, a thousand small ones take seconds.

A writeset of up to 8 million blocks is a node and the array blocks that it points to. Of many such the nodes are read
and checked together, then the array blocks. Those in which all is right are counted at once. All others, larger ones,
damaged ones and those that share a block, go one by one to survey_bits, which says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.era.spans import SpanReader
from drystone.formats.era.writesets import Writeset
from drystone.formats.pdata.array_blocks import find_array_faults
from drystone.formats.pdata.bitset import survey_bits
from drystone.formats.pdata.btree import LARGEST_KEY, Edges, TreeKind, find_faults, flatten, view_nodes
from drystone.formats.pdata.layout import POINTER, WORD, WORD_BITS, count_array_entries
from drystone.formats.pdata.readahead import read_ahead
from drystone.formats.pdata.survey import Survey

AT_ONCE = 128
"""Writesets that are looked at together, and blocks of them that are read at once."""

_NAME = "writeset of era"
_KIND = TreeKind(_NAME, POINTER)
_PER_BLOCK = count_array_entries(WORD.itemsize)

Numbers = NDArray[np.uint64]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]


class WritesetSurvey:
    """Surveys writesets, and knows those that were right: a metadata snapshot has mostly the same ones once more."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._reader = SpanReader(survey.reader)
        self._right: dict[int, int] = {}

    def run(self, writesets: Sequence[Writeset]) -> None:
        """Count the references of archived writesets; what is wrong with them is listed in the survey."""
        for begin in range(0, len(writesets), AT_ONCE):
            some = writesets[begin : begin + AT_ONCE]
            again = [each.root for each in some if self._right.get(each.root) == each.nr_bits]
            self._survey.visit_blocks(np.array(again, dtype=np.uint64), _NAME)
            fresh = [each for each in some if self._right.get(each.root) != each.nr_bits]
            for writeset, right in zip(fresh, self._count_right(fresh).tolist(), strict=True):
                if right:
                    self._right[writeset.root] = writeset.nr_bits
                else:
                    self.run_one(writeset)

    def run_one(self, writeset: Writeset) -> None:
        """One writeset of any kind, by survey_bits."""
        name = "current writeset of era" if writeset.current else _NAME
        for _ in survey_bits(self._survey, name, writeset.root, writeset.nr_bits, owner=writeset.era):
            pass

    def _count_right(self, writesets: Sequence[Writeset]) -> Flags:
        """Which of these are right in all. Their references are counted, as survey_bits would have."""
        survey = self._survey
        roots = np.array([each.root for each in writesets], dtype=np.uint64)
        words = np.array([-(-each.nr_bits // WORD_BITS) for each in writesets], dtype=np.int64)
        where, nodes = self._read_roots(roots, np.flatnonzero(self._find_new(roots)))
        fit = nodes["nr_entries"] == -(-words[where] // _PER_BLOCK)
        where, nodes = where[fit], nodes[fit]
        right = np.zeros(len(roots), dtype=np.bool_)
        right[where] = True
        keys, pointers = flatten(nodes)
        counts = nodes["nr_entries"].astype(np.int64)
        whose = np.repeat(where, counts)
        places = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
        sizes = np.minimum(words[whose] - places * _PER_BLOCK, _PER_BLOCK)
        alone = (keys == places.astype(np.uint64)) & self._find_new(pointers) & ~np.isin(pointers, roots)
        right[whose[~alone]] = False
        self._check_blocks(pointers, sizes, whose, right)
        survey.visit_blocks(roots[right], _NAME)
        survey.visits.note_leaves(roots[right], nodes[right[where]])
        counted = pointers[right[whose]]
        survey.visit_blocks(counted, f"block of the {_NAME}")
        survey.visits.entries[counted] = sizes[right[whose]]
        return right

    def _find_new(self, numbers: Numbers) -> Flags:
        """Blocks that there are, that were not visited yet, and that come once in `numbers`."""
        new: Flags = (numbers > 0) & (numbers < np.uint64(self._survey.limit))
        new[new] = self._survey.visits.kinds[numbers[new]] == 0
        _, places, times = np.unique(numbers, return_inverse=True, return_counts=True)
        new &= times[places.reshape(-1)] == 1
        return new

    def _read_roots(self, roots: Numbers, which: Places) -> tuple[Places, NDArray[Any]]:
        """The places in `roots` of those of `which` that lead to sound leaves, and these as records."""
        blocks = self._reader.read_blocks(roots[which])
        nodes = view_nodes(blocks, _KIND, leaf=True)
        lows = np.zeros(len(which), dtype=np.uint64)
        edges = Edges(roots[which], lows, np.full(len(which), LARGEST_KEY, dtype=np.uint64))
        sound = np.ones(len(which), dtype=np.bool_)
        sound[[fault.place for fault in find_faults(blocks, nodes, edges, leaf=True, root=True)]] = False
        return which[sound], nodes[sound]

    def _check_blocks(self, pointers: Numbers, sizes: Places, whose: Places, right: Flags) -> None:
        """Read the array blocks of the writesets that are `right` so far, in the order of the disk; those with a block
        that is not sound are right no more.

        :param sizes: words that are due in each. :param whose: places in `right`.
        """
        order = np.flatnonzero(right[whose])
        order = order[np.argsort(pointers[order])]
        parts = (order[begin : begin + AT_ONCE] for begin in range(0, len(order), AT_ONCE))
        for part, blocks in read_ahead(self._reader, parts, lambda part: pointers[part]):
            for fault in find_array_faults(blocks, WORD, pointers[part], sizes[part]):
                right[whose[part[fault.place]]] = False
