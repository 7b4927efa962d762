"""Reading the btrees of persistent-data: many nodes at a time, every one checked before a byte of it is used.

A tree maps u64 keys to values of one size. All leaves are equally deep, so the way to the first leaf tells the height,
and from there on it is known of every node whether it must be a leaf. A walk keeps a stack of pending pointers
("edges"), takes at most `batch` of them, reads those blocks in one call, checks them with numpy, and either gives their
entries out or puts their children on the stack. Memory: at most batch * 252 edges a level, 24 bytes each, and four
batches of blocks, as leaves are read ahead. Time: a block's checksum is about 1 µs, the other checks are passes over
the batch's keys.

Why it ends on any bytes: a node's keys must lie in the range that its parent gave it, the ranges on a level are
disjoint, and no node but an empty tree's root is empty; so no level reads a block twice without finding damage, and
there are at most MOST_LEVELS levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata import native
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.layout import INTERNAL, LEAF, POINTER, make_node_dtype
from drystone.formats.pdata.readahead import read_ahead

BATCH = 256
"""Blocks read at once (1 MiB): as quick as larger ones here, and it stays in a core's cache."""

MOST_LEVELS = 16
"""Levels of a tree at most. Seven are enough for every block that metadata can have when nodes are a third full,
the least that the kernel leaves; 16 allows for a fan-out of four."""

LARGEST_KEY = (1 << 64) - 1

Numbers = NDArray[np.uint64]
Nodes = NDArray[Any]
"""Records of layout.make_node_dtype, shape (n,)."""


@dataclass(frozen=True, slots=True)
class TreeKind:
    """What a tree holds.

    :ivar name: for messages: `mapping tree`.
    :ivar value: dtype of a leaf's values.
    :ivar per_key: how many things that are counted elsewhere stand behind a key: the entries of an array block.
    :ivar end: there are so many of these things; LARGEST_KEY + 1 when any number is possible.
    """

    name: str
    value: np.dtype[Any]
    per_key: int = 1
    end: int = LARGEST_KEY + 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one of several blocks.

    :ivar place: which of them, from 0. :ivar what: was looked at. :ivar expected: due. :ivar found: there.
    """

    place: int
    what: str
    expected: int | str
    found: int


@dataclass(frozen=True, slots=True)
class Edges:
    """Pointers to nodes of one level, in key order; three uint64 arrays of one length.

    :ivar blocks: where the nodes are. :ivar lows: their keys are at least these. :ivar highs: and at most these.
    """

    blocks: Numbers
    lows: Numbers
    highs: Numbers

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, which: slice | NDArray[Any]) -> Edges:
        return Edges(self.blocks[which], self.lows[which], self.highs[which])


def make_root_edges(roots: Numbers) -> Edges:
    """The edges that lead to roots of trees, which may hold any key; roots are not checked."""
    return Edges(roots, np.zeros_like(roots), np.full_like(roots, LARGEST_KEY))


def join_edges(parts: Iterable[Edges]) -> Edges:
    """All edges, one part after the other; none of no parts."""
    none = np.zeros(0, dtype=np.uint64)
    columns = [(none, none, none), *((part.blocks, part.lows, part.highs) for part in parts)]
    return Edges(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def make_root_edge(reader: BlockReader, kind: TreeKind, root: int) -> Edges:
    """The one edge that leads to a tree's root.

    :raises DamagedError: `root` is the superblock's place or beyond the end.
    """
    limit = count_blocks(reader)
    if not 0 < root < limit:
        raise describe_damage(root, f"root of the {kind.name}", expected=f"1 to {limit - 1}", found=root)
    return make_root_edges(np.array([root], dtype=np.uint64))


def read_nodes(reader: BlockReader, kind: TreeKind, edges: Edges, *, leaf: bool, root: bool = False) -> Nodes:
    """Read the nodes that `edges` lead to and check all that a node can be checked for by itself and by its edge.

    :param leaf: whether they must be leaves; internal nodes otherwise.
    :param root: it is a tree's root, which alone may be empty, when it is a leaf.
    :raises DamagedError: the first thing wrong: its block, what was expected and what was found.
    """
    return check_nodes(reader.read_blocks(edges.blocks), kind, edges, leaf=leaf, root=root)


def list_children(reader: BlockReader, kind: TreeKind, edges: Edges, nodes: Nodes) -> Edges:
    """The edges out of internal `nodes`, which `edges` lead to.

    :raises DamagedError: a pointer to the superblock or beyond the end; the block named is the node that holds it.
    """
    keys, children = flatten(nodes)
    counts = nodes["nr_entries"].astype(np.int64)
    limit = count_blocks(reader)
    wild = np.flatnonzero((children == 0) | (children >= limit))
    if len(wild):
        holder = int(np.searchsorted(np.cumsum(counts), wild[0], side="right"))
        raise describe_damage(
            int(edges.blocks[holder]),
            f"{kind.name}: pointer to a child",
            expected=f"1 to {limit - 1}",
            found=int(children[wild[0]]),
        )
    highs = np.empty_like(keys)
    highs[:-1] = keys[1:] - np.uint64(1)
    highs[np.cumsum(counts) - 1] = edges.highs
    return Edges(children, keys, highs)


def flatten(nodes: Nodes) -> tuple[Numbers, NDArray[Any]]:
    """Keys and values of all `nodes` in order, without the places that are not used."""
    keys, values = nodes["keys"], nodes["values"]
    counts = nodes["nr_entries"].astype(np.int64)
    if not len(counts):
        return keys.reshape(-1), values.reshape(-1)
    most, fewest = int(counts.max()), int(counts.min())
    keys, values = keys[:, :most], values[:, :most]
    if fewest == most:
        return keys.reshape(-1), values.reshape(-1)
    used = np.arange(most) < counts[:, None]
    return keys[used], values[used]


def descend(reader: BlockReader, kind: TreeKind, root: int, key: int) -> list[tuple[Edges, Nodes]]:
    """The way from the root to the leaf where `key` is, if it is anywhere: one edge and one node a level.

    :raises DamagedError: a node on the way is damaged, or there are more than MOST_LEVELS.
    """
    edge = make_root_edge(reader, kind, root)
    way: list[tuple[Edges, Nodes]] = []
    while len(way) < MOST_LEVELS:
        block = reader.read_blocks(edge.blocks)
        leaf = bool(block.view(make_node_dtype(POINTER))["flags"][0, 0] & LEAF)
        node = check_nodes(block, kind, edge, leaf=leaf, root=not way)
        way.append((edge, node))
        if leaf:
            return way
        children = list_children(reader, kind, edge, node)
        place = max(int(np.searchsorted(children.lows, np.uint64(key), side="right")) - 1, 0)
        edge = children[place : place + 1]
    raise describe_damage(root, f"levels of the {kind.name}", expected=f"at most {MOST_LEVELS}", found="more")


def measure_height(reader: BlockReader, kind: TreeKind, root: int) -> int:
    """Levels below the root; 0 when the root is a leaf.

    :raises DamagedError: see descend.
    """
    return len(descend(reader, kind, root, 0)) - 1


def iter_entries(
    reader: BlockReader, kind: TreeKind, root: int, *, batch: int = BATCH
) -> Iterator[tuple[Numbers, NDArray[Any]]]:
    """All entries in ascending order of keys: (keys, values) out of at most `batch` leaves at a time.

    :raises DamagedError: at the first damaged node; what was given out before it is sound.
    """
    top = measure_height(reader, kind, root)
    pending = [(top, make_root_edge(reader, kind, root))]
    while pending:
        height, edges = pending.pop()
        if height:
            if len(edges) > batch:
                pending.append((height, edges[batch:]))
                edges = edges[:batch]
            nodes = read_nodes(reader, kind, edges, leaf=False, root=height == top)
            pending.append((height - 1, list_children(reader, kind, edges, nodes)))
            continue
        parts = (edges[begin : begin + batch] for begin in range(0, len(edges), batch))
        for part, blocks in read_ahead(reader, parts, lambda part: part.blocks):
            keys, values = flatten(check_nodes(blocks, kind, part, leaf=True, root=top == 0))
            if len(keys):
                yield keys, values


def check_nodes(blocks: NDArray[np.uint8], kind: TreeKind, edges: Edges, *, leaf: bool, root: bool) -> Nodes:
    """What read_nodes does after reading: the nodes in `blocks`, which were read where `edges` lead to."""
    nodes = view_nodes(blocks, kind, leaf=leaf)
    if faults := find_faults(blocks, nodes, edges, leaf=leaf, root=root):
        first = faults[0]
        raise describe_damage(
            int(edges.blocks[first.place]), f"{kind.name}: {first.what}", expected=first.expected, found=first.found
        )
    return nodes


def view_nodes(blocks: NDArray[np.uint8], kind: TreeKind, *, leaf: bool) -> Nodes:
    """Blocks, shape (n, 4096), as records of nodes, without a copy and without a check."""
    nodes: Nodes = blocks.view(make_node_dtype(kind.value if leaf else POINTER)).reshape(-1)
    return nodes


def find_faults(
    blocks: NDArray[np.uint8], nodes: Nodes, edges: Edges, *, leaf: bool, root: bool = False
) -> list[Fault]:
    """What is wrong with nodes that `edges` lead to: one fault, the first one, for each node that has any.

    Keys ascend, and lie in the range of the node's edge. An internal node's first key may be below its child's: the
    kernel leaves it so when the child's first entry goes.

    :param blocks: the same blocks as bytes. :param leaf: whether they must be leaves.
    :param root: they are roots, which may be empty when they are leaves.
    """
    most = nodes["keys"].shape[1]
    value_size = nodes.dtype["values"].base.itemsize
    numbers, lows, highs = (np.ascontiguousarray(each) for each in (edges.blocks, edges.lows, edges.highs))
    fewest = 0 if root and leaf else 1
    flags = LEAF if leaf else INTERNAL
    whole = np.ascontiguousarray(blocks)
    found = native.find_node_faults(whole, numbers, lows, highs, flags, value_size, most, fewest)
    return [Fault(*each) for each in found]
