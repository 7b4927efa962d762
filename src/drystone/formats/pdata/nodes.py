"""Reading btrees node by node, without numpy: trees of few nodes, and tools that would spend their time importing it.

What a node is checked for is in native.c, which btree.py, with its passes over many nodes, calls too; so are the
errors. Cost: some 10 µs a node and what the caller does with its entries. Memory: a batch of nodes, and the edges of
one batch a level.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from drystone.formats.pdata import native
from drystone.formats.pdata.blocks import BLOCK, BlockReader, count_blocks
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.geometry import INTERNAL, KEY_SIZE, LEAF, NODE_HEADER, count_max_entries

LARGEST_KEY = (1 << 64) - 1

MOST_LEVELS = 16
"""Levels of a tree at most. Seven are enough for every block that metadata can have when nodes are a third full,
the least that the kernel leaves; 16 allows for a fan-out of four."""

BATCH = 256
"""Nodes read at once."""

POINTER = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class PlainTree:
    """What a tree holds.

    :ivar name: for messages: `writeset tree`. :ivar value: a leaf's value.
    """

    name: str
    value: struct.Struct = POINTER


@dataclass(frozen=True, slots=True)
class Edge:
    """A pointer to a node. :ivar low: its keys are at least this. :ivar high: and at most this."""

    block: int
    low: int = 0
    high: int = LARGEST_KEY


@dataclass(frozen=True, slots=True)
class Node:
    """A node that was checked. :ivar values: one for each key, as the tree's struct unpacks it."""

    block: int
    keys: tuple[int, ...]
    values: Sequence[tuple[int, ...]]


def make_root(reader: BlockReader, tree: PlainTree, root: int) -> Edge:
    """The edge that leads to a tree's root.

    :raises DamagedError: `root` is the superblock's place or beyond the end.
    """
    limit = count_blocks(reader)
    if not 0 < root < limit:
        raise describe_damage(root, f"root of the {tree.name}", expected=f"1 to {limit - 1}", found=root)
    return Edge(root)


def read_nodes(
    reader: BlockReader, tree: PlainTree, edges: Sequence[Edge], *, leaf: bool, root: bool = False
) -> list[Node]:
    """Read the nodes that `edges` lead to and check all that a node can be checked for by itself and by its edge.

    :param leaf: whether they must be leaves; internal nodes otherwise.
    :param root: it is a tree's root, which alone may be empty, when it is a leaf.
    :raises DamagedError: the first thing wrong: its block, what was expected and what was found.
    """
    return _take_nodes(reader.read_bytes([edge.block for edge in edges]), tree, edges, leaf=leaf, root=root)


def list_children(reader: BlockReader, tree: PlainTree, edges: Sequence[Edge], nodes: Sequence[Node]) -> list[Edge]:
    """The edges out of internal `nodes`, which `edges` lead to.

    :raises DamagedError: a pointer to the superblock or beyond the end; the block named is the node that holds it.
    """
    limit = count_blocks(reader)
    children: list[Edge] = []
    for edge, node in zip(edges, nodes, strict=True):
        highs = chain((key - 1 for key in node.keys[1:]), (edge.high,))
        for low, high, (child,) in zip(node.keys, highs, node.values, strict=True):
            if not 0 < child < limit:
                what = f"{tree.name}: pointer to a child"
                raise describe_damage(node.block, what, expected=f"1 to {limit - 1}", found=child)
            children.append(Edge(child, low, high))
    return children


def descend(reader: BlockReader, tree: PlainTree, root: int, key: int) -> list[Node]:
    """The way from the root to the leaf where `key` is, if it is anywhere: a node a level.

    :raises DamagedError: a node on the way is damaged, or there are more than MOST_LEVELS.
    """
    edge = make_root(reader, tree, root)
    way: list[Node] = []
    while len(way) < MOST_LEVELS:
        data = reader.read_bytes([edge.block])
        leaf = bool(NODE_HEADER.unpack_from(data)[1] & LEAF)
        (node,) = _take_nodes(data, tree, [edge], leaf=leaf, root=not way)
        way.append(node)
        if leaf:
            return way
        children = list_children(reader, tree, [edge], [node])
        edge = next((child for child in reversed(children) if child.low <= key), children[0])
    raise describe_damage(root, f"levels of the {tree.name}", expected=f"at most {MOST_LEVELS}", found="more")


def measure_height(reader: BlockReader, tree: PlainTree, root: int) -> int:
    """Levels below the root; 0 when the root is a leaf.

    :raises DamagedError: see descend.
    """
    return len(descend(reader, tree, root, 0)) - 1


def find_value(reader: BlockReader, tree: PlainTree, root: int, key: int) -> tuple[int, ...] | None:
    """The value of `key`; None when the tree does not hold it. Reads one way, not the tree.

    :raises DamagedError: see descend.
    """
    leaf = descend(reader, tree, root, key)[-1]
    place = bisect_left(leaf.keys, key)
    return leaf.values[place] if place < len(leaf.keys) and leaf.keys[place] == key else None


def iter_nodes(reader: BlockReader, tree: PlainTree, root: int) -> Iterator[tuple[int, Node]]:
    """All nodes with their heights above the leaves, each before those below it; leaves in the order of their keys.

    :raises DamagedError: at the first damaged node; what was given out before it is sound.
    """
    top = measure_height(reader, tree, root)
    pending = [(top, [make_root(reader, tree, root)])]
    while pending:
        height, edges = pending.pop()
        if len(edges) > BATCH:
            pending.append((height, edges[BATCH:]))
            edges = edges[:BATCH]
        nodes = read_nodes(reader, tree, edges, leaf=not height, root=height == top)
        for node in nodes:
            yield height, node
        if height:
            pending.append((height - 1, list_children(reader, tree, edges, nodes)))


def _take_nodes(data: memoryview, tree: PlainTree, edges: Sequence[Edge], *, leaf: bool, root: bool) -> list[Node]:
    """What read_nodes does after reading."""
    value = tree.value if leaf else POINTER
    most = count_max_entries(value.size)
    columns = ([edge.block for edge in edges], [edge.low for edge in edges], [edge.high for edge in edges])
    numbers, lows, highs = (array("Q", column) for column in columns)
    fewest = 0 if root and leaf else 1
    flags = LEAF if leaf else INTERNAL
    if faults := native.find_node_faults(data, numbers, lows, highs, flags, value.size, most, fewest):
        place, what, expected, found = faults[0]
        raise describe_damage(edges[place].block, f"{tree.name}: {what}", expected=expected, found=found)
    nodes: list[Node] = []
    for place, edge in enumerate(edges):
        begin = place * BLOCK
        count = NODE_HEADER.unpack_from(data, begin)[3]
        keys = struct.unpack_from(f"<{count}Q", data, begin + NODE_HEADER.size)
        first = begin + NODE_HEADER.size + KEY_SIZE * most
        nodes.append(Node(edge.block, keys, list(value.iter_unpack(data[first : first + count * value.size]))))
    return nodes
