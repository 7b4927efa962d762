"""The leaves of mapping trees: listed out of the internal nodes, and read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import (
    BATCH,
    Edges,
    check_nodes,
    flatten,
    join_edges,
    list_children,
    make_root_edge,
    measure_height,
    read_nodes,
)
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.readahead import read_ahead
from drystone.formats.thin.mappings import MAPPINGS


@dataclass(frozen=True, slots=True)
class Leaves:
    """Edges to leaves, of one tree in key order.

    :ivar roots: which of them are the root of their tree, and so may be empty.
    """

    edges: Edges
    roots: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, which: slice | NDArray[Any]) -> Leaves:
        return Leaves(self.edges[which], self.roots[which])


def list_leaves(reader: BlockReader, root: int) -> Leaves:
    """The leaves of the tree of mappings at `root`; reads internal nodes only.

    :raises DamagedError: an internal node is damaged.
    """
    edges = make_root_edge(reader, MAPPINGS, root)
    top = measure_height(reader, MAPPINGS, root)
    for height in range(top, 0, -1):
        below = []
        for begin in range(0, len(edges), BATCH):
            part = edges[begin : begin + BATCH]
            nodes = read_nodes(reader, MAPPINGS, part, leaf=False, root=height == top)
            below.append(list_children(reader, MAPPINGS, part, nodes))
        edges = join_edges(below)
    return Leaves(edges, np.full(len(edges), top == 0))


def join_leaves(parts: Sequence[Leaves]) -> Leaves:
    """Leaves of several trees, one part after the other."""
    return Leaves(join_edges(part.edges for part in parts), np.concatenate([part.roots for part in parts]))


@dataclass(frozen=True, slots=True)
class Entries:
    """What is in some leaves.

    :ivar leaves: those. :ivar keys: uint64, of all entries in order. :ivar values: likewise, data block and time in
        one. :ivar counts: int64, entries in each leaf.
    """

    leaves: Leaves
    keys: NDArray[np.uint64]
    values: NDArray[np.uint64]
    counts: NDArray[np.int64]


def iter_leaves(reader: BlockReader, leaves: Leaves, *, batch: int = BATCH) -> Iterator[Entries]:
    """The entries of leaves, `batch` leaves at a time; the next ones are read meanwhile.

    :raises DamagedError: the first damaged one.
    """
    parts = (leaves[begin : begin + batch] for begin in range(0, len(leaves), batch))
    for part, blocks in read_ahead(reader, parts, lambda part: part.edges.blocks):
        yield _take_entries(part, blocks)


def _take_entries(leaves: Leaves, blocks: NDArray[np.uint8]) -> Entries:
    may_be_empty = bool(leaves.roots.any())
    nodes = check_nodes(blocks, MAPPINGS, leaves.edges, leaf=True, root=may_be_empty)
    counts = nodes["nr_entries"].astype(np.int64)
    if may_be_empty and (empty := np.flatnonzero((counts == 0) & ~leaves.roots)).size:
        raise describe_damage(
            int(leaves.edges.blocks[empty[0]]), f"{MAPPINGS.name}: number of entries", expected="1 or more", found=0
        )
    keys, values = flatten(nodes)
    return Entries(leaves, keys, values, counts)


class Trees:
    """Leaves of trees by their roots; those asked for first are kept while they are few (24 bytes for each leaf)."""

    MOST_KEPT = 1 << 20

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self._kept: dict[int, Leaves] = {}
        self._count = 0

    def get_leaves(self, root: int) -> Leaves:
        """The leaves of the tree at `root`; see list_leaves."""
        leaves = self._kept.get(root)
        if leaves is None:
            leaves = list_leaves(self._reader, root)
            if self._count + len(leaves) <= self.MOST_KEPT:
                self._kept[root] = leaves
                self._count += len(leaves)
        return leaves
