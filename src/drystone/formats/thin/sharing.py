"""Which leaves of the mapping trees several devices share, and which of those always stand together.

A snapshot shares subtrees with its origin, so a leaf may be in many devices. A *run* is a longest piece of neighbouring
leaves that stand together in every device that has any of them: the same leaf before, the same after. In 1.x's dumps a
run that several devices share is there once, as a `<def>` that they refer to; runs are cut here as they are there.

Found by one pass over the internal nodes of each device. For each leaf it is noted which leaf comes before and which
after, or that there were several, and the range of keys that all its parents give it. Memory: 26 bytes for each
metadata block that is a leaf, and the edges of one device's leaves (24 bytes each).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import Edges
from drystone.formats.thin.leaves import Leaves, Trees

_NONE = 0
"""No neighbour is known yet; block 0 is the superblock and never a leaf."""
_EDGE = (1 << 32) - 1
"""The tree ends there."""
_MANY = (1 << 32) - 2
"""Different neighbours in different devices."""


class Sharing:
    """What is known of the leaves of the devices that were added; leaves are named by their blocks."""

    def __init__(self, reader: BlockReader) -> None:
        limit = count_blocks(reader)
        self.shared = np.zeros(limit, dtype=np.bool_)
        """By block: whether several devices, or one in several places, have the leaf."""
        self._taken = np.zeros(limit, dtype=np.bool_)
        self._before = np.zeros(limit, dtype=np.uint32)
        self._after = np.zeros(limit, dtype=np.uint32)
        self._lows = np.zeros(limit, dtype=np.uint64)
        self._above = np.zeros(limit, dtype=np.uint64)
        """Keys above the range, so that no leaf is known as 0."""

    def add(self, leaves: Leaves, times: int = 1) -> None:
        """Add the leaves of one tree, which `times` devices have."""
        edges = leaves.edges
        blocks = edges.blocks
        np.maximum.at(self._lows, blocks, edges.lows)  # a damaged tree may have one leaf twice
        np.maximum.at(self._above, blocks, ~edges.highs)
        self.shared[blocks] = True if times > 1 else self._after[blocks] != _NONE
        numbers = blocks.astype(np.uint32)
        edge = np.array([_EDGE], dtype=np.uint32)
        for links, neighbours in (
            (self._before, np.concatenate((edge, numbers[:-1]))),
            (self._after, np.concatenate((numbers[1:], edge))),
        ):
            known = links[blocks]
            links[blocks] = np.where((known == _NONE) | (known == neighbours), neighbours, np.uint32(_MANY))

    def add_all(self, trees: Trees, roots: Iterable[int]) -> None:
        """Add the trees of all devices: a root for each."""
        for root, times in Counter(roots).items():
            self.add(trees.get_leaves(root), times)

    def find_breaks(self, blocks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Of each of a tree's leaves, in order: whether a run begins with it."""
        begins = np.ones(len(blocks), dtype=np.bool_)
        begins[1:] = (self._after[blocks[:-1]] != blocks[1:]) | (self._before[blocks[1:]] != blocks[:-1])
        return begins

    def narrow(self, leaves: Leaves) -> Leaves:
        """The same leaves, in the range of keys that all trees added give each of them: what must hold of its keys."""
        blocks = leaves.edges.blocks
        return Leaves(Edges(blocks, self._lows[blocks], ~self._above[blocks]), leaves.roots)

    def take_new(self, leaves: Leaves) -> NDArray[np.bool_]:
        """Which of these leaves are shared and were in no earlier call."""
        blocks = leaves.edges.blocks
        new: NDArray[np.bool_] = self.shared[blocks] & ~self._taken[blocks]
        self._taken[blocks] = True
        return new
