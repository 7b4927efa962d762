"""Ranges of the arrays that era metadata is made of: eras of blocks, and words of bitsets.

An array is a btree from the number of an array block to where it is. All array blocks are full but the last, so it is
known which of them holds an entry, and a range of the array costs one way down the tree and the blocks of the range.
Reading ranges is what lets several arrays be read side by side in bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.array_blocks import find_array_faults, view_array_blocks
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import (
    Edges,
    TreeKind,
    flatten,
    list_children,
    make_root_edge,
    measure_height,
    read_nodes,
)
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.layout import POINTER, count_array_entries


class Ranges(Protocol):
    """An array that is read in ranges."""

    def read(self, first: int, count: int) -> NDArray[Any]:
        """Entries of `count` array blocks from block number `first` of the array on; fewer at its end."""


class OpenArray(Protocol):
    """How arrays are opened: strictly, by open_array, or going on after damage."""

    def __call__(self, name: str, value: np.dtype[Any], root: int, length: int, /) -> Ranges:
        """The array at `root` with `length` entries of `value`; `name` is for messages."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array of which every block must be sound. See open_array.

    :ivar length: entries. :ivar height: levels of its tree below the root.
    """

    reader: BlockReader
    kind: TreeKind
    value: np.dtype[Any]
    root: int
    length: int
    height: int

    def read(self, first: int, count: int) -> NDArray[Any]:
        """See Ranges. Reads count * 4096 bytes at once, and the nodes above.

        :raises DamagedError: an array block or a node above is damaged, or missing.
        """
        blocks = -(-self.length // count_array_entries(self.value.itemsize))
        last = min(first + count, blocks) - 1
        if first >= max(blocks, 1):
            return np.empty(0, dtype=self.value)
        return self._read_blocks(self._find_pointers(first, last, final=last == blocks - 1), first)

    def _find_pointers(self, first: int, last: int, *, final: bool) -> NDArray[np.uint64]:
        """Where the array blocks `first` to `last` are. When that is the array's end (`final`) there must be no more:
        if the length is wrong and too low, entries would be left out without a word.
        """
        edges = make_root_edge(self.reader, self.kind, self.root)
        for height in range(self.height, 0, -1):
            nodes = read_nodes(self.reader, self.kind, edges, leaf=False, root=height == self.height)
            children = list_children(self.reader, self.kind, edges, nodes)
            self._refuse_beyond(children.lows, last, final=final)
            edges = children[(children.lows < np.uint64(last + 1)) & (children.highs >= np.uint64(first))]
        leaves = read_nodes(self.reader, self.kind, edges, leaf=True, root=self.height == 0)
        keys, pointers = flatten(leaves)
        self._refuse_beyond(keys, last, final=final)
        wanted = (keys >= np.uint64(first)) & (keys < np.uint64(last + 1))
        keys, pointers = keys[wanted], pointers[wanted]
        expected = np.arange(first, last + 1, dtype=np.uint64)
        if len(keys) != len(expected):
            missing = int(np.setdiff1d(expected, keys)[0])
            what = f"{self.kind.name}: array block {missing}"
            raise describe_damage(self.root, what, expected="there", found="missing")
        limit = count_blocks(self.reader)
        wild = np.flatnonzero((pointers == 0) | (pointers >= limit))
        if len(wild):
            what = f"{self.kind.name}: pointer to array block {int(expected[wild[0]])}"
            holder = _find_holder(edges, leaves, int(expected[wild[0]]))
            raise describe_damage(holder, what, expected=f"1 to {limit - 1}", found=int(pointers[wild[0]]))
        return pointers

    def _refuse_beyond(self, keys: NDArray[np.uint64], last: int, *, final: bool) -> None:
        if final and len(keys) and int(keys[-1]) > last:
            what = f"{self.kind.name}: index of an array block"
            raise describe_damage(self.root, what, expected=f"below {last + 1}", found=int(keys[-1]))

    def _read_blocks(self, pointers: NDArray[np.uint64], first: int) -> NDArray[Any]:
        blocks = self.reader.read_blocks(pointers)
        sizes = count_entries(self.length, self.value, first + np.arange(len(pointers)))
        if faults := find_array_faults(blocks, self.value, pointers, sizes):
            fault = faults[0]
            what = f"{self.kind.name}: {fault.what}"
            raise describe_damage(int(pointers[fault.place]), what, expected=fault.expected, found=fault.found)
        entries: NDArray[Any] = view_array_blocks(blocks, self.value)["values"].reshape(-1)
        return entries[: self.length - first * count_array_entries(self.value.itemsize)]


def open_array(reader: BlockReader, name: str, value: np.dtype[Any], root: int, length: int) -> StoredArray:
    """The array at `root` with `length` entries of `value`; `name` is for messages. Reads the way to its first leaf.

    :raises DamagedError: a node on that way is damaged.
    """
    kind = TreeKind(name, POINTER)
    return StoredArray(reader, kind, value, root, length, measure_height(reader, kind, root))


def count_entries(length: int, value: np.dtype[Any], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many entries the array blocks of these numbers hold, in an array of `length` entries."""
    per_block = count_array_entries(value.itemsize)
    due: NDArray[np.int64] = np.minimum(length - indices * per_block, per_block)
    return due


def _find_holder(edges: Edges, leaves: NDArray[Any], key: int) -> int:
    """The leaf that holds `key`."""
    place = int(np.searchsorted(leaves["keys"][:, 0], np.uint64(key), side="right")) - 1
    return int(edges.blocks[max(place, 0)])
