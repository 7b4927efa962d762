"""What differs between two thin devices of one pool, at the cost of the difference.

Snapshots share subtrees: a block of the metadata that both trees point to holds the same mappings for both. So both
trees are walked side by side, level by level, and every block that both sides point to is dropped, whatever its place
among its neighbours: what it maps is the same on both sides, and no other node of either tree maps it again.
Where the trees have different heights the higher one goes down first.

Only the data block counts, not the time of a mapping, as in thin_delta.

The walk goes through windows of keys. A window holds, for each side, the edges whose range meets it. A window with too
many edges is cut in two at a key; a node across the cut is on both sides of it and is read twice, once a cut at most.
Memory: a few times BATCH * 252 edges a level, and one batch of blocks. Cost: the blocks that are not shared, and the
way down to the first leaf of either tree. Inspired by how thin_delta compares; the lockstep walk is our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import (
    BATCH,
    LARGEST_KEY,
    Edges,
    flatten,
    list_children,
    make_root_edge,
    measure_height,
    read_nodes,
)
from drystone.formats.thin.devices import find_mapping_root
from drystone.formats.thin.extents import Ranges, join_ranges, merge_blocks
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks
from drystone.formats.thin.superblock import Superblock

UNMAPPED = (1 << 64) - 1
"""In a Difference, where the data block would be: the block is a hole on that side."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Blocks that differ, in ascending order; uint64 arrays of one length, at least 1.

    :ivar virtual: block of both devices. :ivar left: data block it has on the left, or UNMAPPED. :ivar right: likewise.
    """

    virtual: NDArray[np.uint64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.virtual)


@dataclass(frozen=True, slots=True)
class _Side:
    """One tree's part of a window: edges to nodes `height` levels above the leaves (0: leaves), `top` is its root's."""

    height: int
    top: int
    edges: Edges


@dataclass(frozen=True, slots=True)
class _Window:
    """Keys low to high inclusive, and for each side the edges whose range meets them."""

    low: int
    high: int
    left: _Side
    right: _Side


def iter_changed(
    reader: BlockReader, superblock: Superblock, left_dev: int, right_dev: int, *, batch: int = BATCH
) -> Iterator[Ranges]:
    """Ranges of pool blocks that differ between two devices: mapped on one side only, or mapped elsewhere.

    Arrays of shape (n, 2), begin and length, ascending, merged, also across arrays.

    :raises NotFoundError: there is no such device. :raises DamagedError: at the first damaged node that is read.
    """
    differences = iter_differences(reader, superblock, left_dev, right_dev, batch=batch)
    return join_ranges(merge_blocks(difference.virtual) for difference in differences)


def iter_differences(
    reader: BlockReader, superblock: Superblock, left_dev: int, right_dev: int, *, batch: int = BATCH
) -> Iterator[Difference]:
    """The blocks that differ, ascending, with the data block on each side; see iter_changed."""
    batch = max(batch, 2)  # one edge of each side, which no cut can part
    roots = [find_mapping_root(reader, superblock, dev) for dev in (left_dev, right_dev)]
    if roots[0] == roots[1]:
        return
    sides = [
        _Side(height, height, make_root_edge(reader, MAPPINGS, root))
        for root, height in ((root, measure_height(reader, MAPPINGS, root)) for root in roots)
    ]
    pending = [_Window(0, LARGEST_KEY, *sides)]
    while pending:
        window = _drop_shared(pending.pop())
        if not len(window.left.edges) and not len(window.right.edges):
            continue
        if len(window.left.edges) + len(window.right.edges) > batch:
            pending.extend(reversed(_cut(window)))
        elif window.left.height or window.right.height:
            pending.append(_go_down(reader, window))
        else:
            difference = _compare(_read_leaves(reader, window, window.left), _read_leaves(reader, window, window.right))
            if len(difference):
                yield difference


def _drop_shared(window: _Window) -> _Window:
    """The window without the blocks that both sides point to."""
    left, right = window.left, window.right
    shared = np.intersect1d(left.edges.blocks, right.edges.blocks)
    if not len(shared):
        return window
    return _Window(
        window.low,
        window.high,
        *(_Side(side.height, side.top, side.edges[~np.isin(side.edges.blocks, shared)]) for side in (left, right)),
    )


def _cut(window: _Window) -> tuple[_Window, _Window]:
    """Two windows out of one, cut at a key that begins the middle edge of the side with more edges."""
    more = max(window.left.edges, window.right.edges, key=len)
    key = int(more.lows[len(more) // 2])
    return (
        _narrow(window, window.low, key - 1),
        _narrow(window, key, window.high),
    )


def _narrow(window: _Window, low: int, high: int) -> _Window:
    return _Window(
        low,
        high,
        *(_Side(side.height, side.top, _meet(side.edges, low, high)) for side in (window.left, window.right)),
    )


def _meet(edges: Edges, low: int, high: int) -> Edges:
    return edges[(edges.lows <= np.uint64(high)) & (edges.highs >= np.uint64(low))]


def _go_down(reader: BlockReader, window: _Window) -> _Window:
    """The window one level further down: on both sides, or on the higher one when they are not level."""
    level = max(window.left.height, window.right.height)
    return _Window(
        window.low,
        window.high,
        *(_expand(reader, window, side) if side.height == level else side for side in (window.left, window.right)),
    )


def _expand(reader: BlockReader, window: _Window, side: _Side) -> _Side:
    if not len(side.edges):
        return _Side(side.height - 1, side.top, side.edges)
    nodes = read_nodes(reader, MAPPINGS, side.edges, leaf=False, root=side.height == side.top)
    children = list_children(reader, MAPPINGS, side.edges, nodes)
    return _Side(side.height - 1, side.top, _meet(children, window.low, window.high))


def _read_leaves(reader: BlockReader, window: _Window, side: _Side) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Virtual and data blocks of a side's leaves, within the window."""
    if not len(side.edges):
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)
    nodes = read_nodes(reader, MAPPINGS, side.edges, leaf=True, root=side.height == side.top)
    keys, values = flatten(nodes)
    within = (keys >= np.uint64(window.low)) & (keys <= np.uint64(window.high))
    return keys[within], get_data_blocks(values[within])


def _compare(left: tuple[NDArray[Any], NDArray[Any]], right: tuple[NDArray[Any], NDArray[Any]]) -> Difference:
    if np.array_equal(left[0], right[0]):
        virtual, sides = left[0], [left[1], right[1]]
    else:
        # Two ascending runs: the stable sort merges them.
        virtual = np.sort(np.concatenate((left[0], right[0])), kind="stable")
        virtual = virtual[np.concatenate(([True], virtual[1:] != virtual[:-1]))[: len(virtual)]]
        sides = []
        for keys, data in (left, right):
            spread = np.full(len(virtual), UNMAPPED, dtype=np.uint64)
            spread[np.searchsorted(virtual, keys)] = data
            sides.append(spread)
    differs = sides[0] != sides[1]
    return Difference(virtual[differs], sides[0][differs], sides[1][differs])
