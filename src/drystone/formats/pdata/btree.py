"""Reading the btrees of persistent-data: many nodes at a time, every one checked before a byte of it is used.

A tree maps u64 keys to values of one size. All leaves are equally deep, so the way to the first leaf tells the height,
and from there on it is known of every node whether it must be a leaf. A walk keeps a stack of pending pointers
("edges"), takes at most `batch` of them, reads those blocks in one call, checks them with numpy, and either gives their
entries out or puts their children on the stack. Memory: at most batch * 252 edges a level, 24 bytes each, and one
batch of blocks. Time: a block's checksum is about 1 µs, the other checks are passes over the batch's keys.

Why it ends on any bytes: a node's keys must lie in the range that its parent gave it, the ranges on a level are
disjoint, and no node but an empty tree's root is empty; so no level reads a block twice without finding damage, and
there are at most MOST_LEVELS levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.checksum import BTREE_NODE, checksum_blocks
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.layout import INTERNAL, LEAF, POINTER, make_node_dtype

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
    """

    name: str
    value: np.dtype[Any]


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


def make_root_edge(reader: BlockReader, kind: TreeKind, root: int) -> Edges:
    """The one edge that leads to a tree's root.

    :raises DamagedError: `root` is the superblock's place or beyond the end.
    """
    limit = count_blocks(reader)
    if not 0 < root < limit:
        raise describe_damage(root, f"root of the {kind.name}", expected=f"1 to {limit - 1}", found=root)
    return Edges(*(np.array([number], dtype=np.uint64) for number in (root, 0, LARGEST_KEY)))


def read_nodes(reader: BlockReader, kind: TreeKind, edges: Edges, *, leaf: bool, root: bool = False) -> Nodes:
    """Read the nodes that `edges` lead to and check all that a node can be checked for by itself and by its edge.

    :param leaf: whether they must be leaves; internal nodes otherwise.
    :param root: it is a tree's root, which alone may be empty, when it is a leaf.
    :raises DamagedError: the first thing wrong: its block, what was expected and what was found.
    """
    return _check_nodes(reader.read_blocks(edges.blocks), kind, edges, leaf=leaf, root=root)


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
    used = np.arange(nodes["keys"].shape[1]) < nodes["nr_entries"][:, None]
    return nodes["keys"][used], nodes["values"][used]


def descend(reader: BlockReader, kind: TreeKind, root: int, key: int) -> list[tuple[Edges, Nodes]]:
    """The way from the root to the leaf where `key` is, if it is anywhere: one edge and one node a level.

    :raises DamagedError: a node on the way is damaged, or there are more than MOST_LEVELS.
    """
    edge = make_root_edge(reader, kind, root)
    way: list[tuple[Edges, Nodes]] = []
    while len(way) < MOST_LEVELS:
        block = reader.read_blocks(edge.blocks)
        leaf = bool(block.view(make_node_dtype(POINTER))["flags"][0, 0] & LEAF)
        node = _check_nodes(block, kind, edge, leaf=leaf, root=not way)
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


def find_value(reader: BlockReader, kind: TreeKind, root: int, key: int) -> Any | None:
    """The value of `key`, a numpy scalar; None when the tree does not hold it. Reads one way, not the tree.

    :raises DamagedError: see descend.
    """
    keys, values = flatten(descend(reader, kind, root, key)[-1][1])
    place = int(np.searchsorted(keys, np.uint64(key)))
    return values[place] if place < len(keys) and int(keys[place]) == key else None


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
        if len(edges) > batch:
            pending.append((height, edges[batch:]))
            edges = edges[:batch]
        nodes = read_nodes(reader, kind, edges, leaf=height == 0, root=height == top)
        if height:
            pending.append((height - 1, list_children(reader, kind, edges, nodes)))
        else:
            keys, values = flatten(nodes)
            if len(keys):
                yield keys, values


def _check_nodes(blocks: NDArray[np.uint8], kind: TreeKind, edges: Edges, *, leaf: bool, root: bool) -> Nodes:
    nodes: Nodes = blocks.view(make_node_dtype(kind.value if leaf else POINTER)).reshape(-1)
    most = nodes["keys"].shape[1]
    value_size = nodes.dtype["values"].base.itemsize
    for what, found, expected in (
        ("checksum", nodes["csum"], checksum_blocks(blocks, BTREE_NODE)),
        ("location", nodes["blocknr"], edges.blocks),
        ("flags (1 internal, 2 leaf)", nodes["flags"], LEAF if leaf else INTERNAL),
        ("value size", nodes["value_size"], value_size),
        ("max entries", nodes["max_entries"], most),
    ):
        _refuse_where(found != expected, kind, edges, what, expected, found)
    counts = nodes["nr_entries"]
    fewest = 0 if root and leaf else 1
    _refuse_where((counts < fewest) | (counts > most), kind, edges, "number of entries", f"{fewest} to {most}", counts)
    _check_keys(kind, edges, nodes)
    return nodes


def _refuse_where(
    wrong: NDArray[np.bool_], kind: TreeKind, edges: Edges, what: str, expected: object, found: NDArray[Any]
) -> None:
    places = np.flatnonzero(wrong)
    if not len(places):
        return
    first = places[0]
    due = int(expected[first]) if isinstance(expected, np.ndarray) else expected
    raise describe_damage(int(edges.blocks[first]), f"{kind.name}: {what}", expected=due, found=int(found[first]))


def _check_keys(kind: TreeKind, edges: Edges, nodes: Nodes) -> None:
    """Keys ascend, and lie in the range of the node's edge.

    An internal node's first key may be below its child's: the kernel leaves it so when the child's first entry goes.
    """
    keys: Numbers = nodes["keys"]
    counts = nodes["nr_entries"].astype(np.int64)
    falling = (keys[:, 1:] <= keys[:, :-1]) & (np.arange(1, keys.shape[1]) < counts[:, None])
    if falling.any():
        node, place = (int(index[0]) for index in np.nonzero(falling))
        raise describe_damage(
            int(edges.blocks[node]),
            f"{kind.name}: key {place + 1}",
            expected=f"above {keys[node, place]}",
            found=int(keys[node, place + 1]),
        )
    filled = counts > 0
    lasts = keys[np.arange(len(keys)), np.maximum(counts - 1, 0)]
    for what, found, wrong in (
        ("first key", keys[:, 0], keys[:, 0] < edges.lows),
        ("last key", lasts, lasts > edges.highs),
    ):
        place_ = np.flatnonzero(wrong & filled)
        if len(place_):
            first = int(place_[0])
            raise describe_damage(
                int(edges.blocks[first]),
                f"{kind.name}: {what}",
                expected=f"{edges.lows[first]} to {edges.highs[first]}, the range its parent gives",
                found=int(found[first]),
            )
