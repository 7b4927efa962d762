"""What differs between two thin devices of one pool, at the cost of the difference.

Snapshots share subtrees: a block of the metadata that both trees point to holds the same mappings for both. So both
trees are walked side by side, level by level, and every block that both sides point to is dropped, whatever its place
among its neighbours: what it maps is the same on both sides, and no other node of either tree maps it again. Where
what is the same is asked for too, such a block is not dropped but walked once instead of twice.
Where the trees have different heights the higher one goes down first.

Only the data block counts, not the time of a mapping, as in thin_delta.

The walk goes through windows of keys. A window holds, for each side, the edges whose range meets it. A window with too
many edges is cut in two at a key; a node across the cut is on both sides of it and is read twice, once a cut at most.
Memory: a few times BATCH * 252 edges a level, and four batches of blocks. Cost: the blocks that are not shared, and the
way down to the first leaf of either tree. Inspired by how thin_delta compares; the lockstep walk is our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import (
    BATCH,
    LARGEST_KEY,
    Edges,
    check_nodes,
    flatten,
    join_edges,
    list_children,
    make_root_edge,
    measure_height,
    read_nodes,
)
from drystone.formats.pdata.readahead import read_ahead
from drystone.formats.thin.devices import find_mapping_root
from drystone.formats.thin.extents import Ranges, join_ranges, merge_blocks
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks
from drystone.formats.thin.superblock import Superblock

UNMAPPED = (1 << 64) - 1
"""In a Difference, where the data block would be: the block is a hole on that side."""

Mapped = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""Virtual blocks, ascending, and the data blocks they are mapped to."""

NOTHING: Mapped = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))


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
class Comparison:
    """What a window of keys holds, out of leaves that both trees have and out of others.

    :ivar shared: virtual and data blocks out of the leaves that both trees have; none when they were not asked for.
    :ivar left: virtual and data blocks out of the left tree's other leaves. :ivar right: likewise. All ascending.
    """

    shared: Mapped
    left: Mapped
    right: Mapped


@dataclass(frozen=True, slots=True)
class _Side:
    """One tree's part of a window: edges to nodes `height` levels above the leaves (0: leaves), `top` is its root's."""

    height: int
    top: int
    edges: Edges


@dataclass(frozen=True, slots=True)
class _Window:
    """Keys low to high inclusive, and the edges whose range meets them: of each side alone, and of both."""

    low: int
    high: int
    left: _Side
    right: _Side
    both: tuple[_Side, ...] = ()
    """One for each height; none when what is shared is not asked for."""

    @property
    def sides(self) -> tuple[_Side, ...]:
        return (self.left, self.right, *self.both)


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
    left, right = (find_mapping_root(reader, superblock, dev) for dev in (left_dev, right_dev))
    for comparison in compare_trees(reader, left, right, batch=batch):
        union = unite(comparison.left, comparison.right)
        differs = union.left != union.right
        if differs.any():
            yield Difference(union.virtual[differs], union.left[differs], union.right[differs])


def compare_trees(
    reader: BlockReader, left_root: int, right_root: int, *, with_shared: bool = False, batch: int = BATCH
) -> Iterator[Comparison]:
    """What two trees of mappings hold, window by window in ascending order of keys.

    :param with_shared: read the leaves that both have as well, once; else they are left out.
    :raises DamagedError: at the first damaged node that is read.
    """
    if left_root == right_root and not with_shared:
        return
    batch = max(batch, 2)  # one edge of each side, which no cut can part
    sides = [
        _Side(height, height, make_root_edge(reader, MAPPINGS, root))
        for root, height in ((root, measure_height(reader, MAPPINGS, root)) for root in (left_root, right_root))
    ]
    whole = _Window(0, LARGEST_KEY, sides[0], sides[1])
    windows = _iter_leaf_windows(reader, whole, with_shared=with_shared, batch=batch)
    for window, blocks in read_ahead(reader, windows, _list_blocks):
        mapped: list[Mapped] = []
        done = 0
        for side in window.sides:
            mapped.append(_take_leaves(blocks[done : done + len(side.edges)], window, side))
            done += len(side.edges)
        yield Comparison(mapped[2] if window.both else NOTHING, mapped[0], mapped[1])


def _list_blocks(window: _Window) -> NDArray[np.uint64]:
    return np.concatenate([side.edges.blocks for side in window.sides])


def _iter_leaf_windows(reader: BlockReader, whole: _Window, *, with_shared: bool, batch: int) -> Iterator[_Window]:
    """Windows of at most `batch` leaves, ascending; what is above the leaves is read here."""
    pending = [_part_shared(whole, keep=with_shared)]
    while pending:
        window = pending.pop()
        edges = sum(len(side.edges) for side in window.sides)
        if not edges:
            continue
        if edges > batch:
            pending.extend(reversed(_cut(window)))
        elif any(side.height for side in window.sides):
            pending.append(_part_shared(_go_down(reader, window), keep=with_shared))
        else:
            yield window


def _part_shared(window: _Window, *, keep: bool) -> _Window:
    """The window without the blocks that both sides point to; they go to `both` if they are to be kept."""
    left, right = window.left, window.right
    shared = np.isin(left.edges.blocks, right.edges.blocks)
    if not shared.any():
        return window
    again = np.isin(right.edges.blocks, left.edges.blocks)
    alone = [_Side(side.height, side.top, side.edges[~twice]) for side, twice in ((left, shared), (right, again))]
    if not keep:
        return _Window(window.low, window.high, alone[0], alone[1], window.both)
    more = _Side(left.height, left.top, left.edges[shared])
    return _Window(window.low, window.high, alone[0], alone[1], _join_sides((*window.both, more)))


def _join_sides(sides: Iterable[_Side]) -> tuple[_Side, ...]:
    """Sides of the same height as one, with their edges in ascending order."""
    levels: dict[int, _Side] = {}
    for side in sides:
        known = levels.get(side.height)
        if known is None:
            levels[side.height] = side
            continue
        edges = join_edges((known.edges, side.edges))
        order = np.argsort(edges.lows, kind="stable")
        levels[side.height] = _Side(side.height, side.top, edges[order])
    return tuple(levels[height] for height in sorted(levels))


def _cut(window: _Window) -> tuple[_Window, _Window]:
    """Two windows out of one, cut at a key that begins the middle edge of the side with the most edges."""
    most = max((side.edges for side in window.sides), key=len)
    key = int(most.lows[len(most) // 2])
    return (
        _narrow(window, window.low, key - 1),
        _narrow(window, key, window.high),
    )


def _narrow(window: _Window, low: int, high: int) -> _Window:
    left, right, *both = (_Side(side.height, side.top, _meet(side.edges, low, high)) for side in window.sides)
    return _Window(low, high, left, right, tuple(both))


def _meet(edges: Edges, low: int, high: int) -> Edges:
    return edges[(edges.lows <= np.uint64(high)) & (edges.highs >= np.uint64(low))]


def _go_down(reader: BlockReader, window: _Window) -> _Window:
    """The window one level further down: all that is highest."""
    level = max(side.height for side in window.sides)
    left, right, *both = (_expand(reader, window, side) if side.height == level else side for side in window.sides)
    return _Window(window.low, window.high, left, right, _join_sides(both))


def _expand(reader: BlockReader, window: _Window, side: _Side) -> _Side:
    if not len(side.edges):
        return _Side(side.height - 1, side.top, side.edges)
    nodes = read_nodes(reader, MAPPINGS, side.edges, leaf=False, root=side.height == side.top)
    children = list_children(reader, MAPPINGS, side.edges, nodes)
    return _Side(side.height - 1, side.top, _meet(children, window.low, window.high))


def _take_leaves(blocks: NDArray[np.uint8], window: _Window, side: _Side) -> Mapped:
    """Virtual and data blocks of a side's leaves, within the window."""
    if not len(side.edges):
        return NOTHING
    nodes = check_nodes(blocks, MAPPINGS, side.edges, leaf=True, root=side.height == side.top)
    keys, values = flatten(nodes)
    if len(keys) and (int(keys[0]) < window.low or int(keys[-1]) > window.high):
        within = (keys >= np.uint64(window.low)) & (keys <= np.uint64(window.high))
        keys, values = keys[within], values[within]
    return keys, get_data_blocks(values)


def unite(left: Mapped, right: Mapped) -> Difference:
    """All blocks that either side maps, with the data block of each; those that are the same as well."""
    if np.array_equal(left[0], right[0]):
        return Difference(left[0], left[1], right[1])
    if not len(left[0]) or not len(right[0]):
        virtual, data = left if len(left[0]) else right
        missing = np.full(len(virtual), UNMAPPED, dtype=np.uint64)
        return Difference(virtual, *((data, missing) if len(left[0]) else (missing, data)))
    # Two ascending runs: the stable sort merges them.
    virtual = np.sort(np.concatenate((left[0], right[0])), kind="stable")
    virtual = virtual[np.concatenate(([True], virtual[1:] != virtual[:-1]))]
    sides = []
    for keys, data in (left, right):
        spread = np.full(len(virtual), UNMAPPED, dtype=np.uint64)
        spread[np.searchsorted(virtual, keys)] = data
        sides.append(spread)
    return Difference(virtual, *sides)
