"""Ranges of the arrays that era metadata is made of: eras of blocks, and words of bitsets.

An array is a btree from the number of an array block to where it is. All array blocks are full but the last, so it is
known which of them holds an entry, and a range of the array costs one way down the tree and the blocks of the range.
Reading ranges is what lets several arrays be read side by side in bounded memory.

Imports no numpy before entries are asked for as numpy arrays.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from drystone.formats.pdata import native
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.geometry import count_array_entries
from drystone.formats.pdata.nodes import Node, PlainTree, list_children, make_root, measure_height, read_nodes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    """An array of which every block must be sound. See open_stored.

    :ivar size: bytes of an entry, an unsigned number. :ivar length: entries.
    :ivar height: levels of its tree below the root.
    """

    reader: BlockReader
    tree: PlainTree
    size: int
    root: int
    length: int
    height: int

    def read(self, first: int, count: int) -> NDArray[Any]:
        """See Ranges. Raises as read_bytes does."""
        import numpy as np

        return np.frombuffer(self.read_bytes(first, count), dtype=f"<u{self.size}")

    def read_bytes(self, first: int, count: int) -> bytes:
        """The same, little-endian. Reads count * 4096 bytes at once, and the nodes above.

        :raises DamagedError: an array block or a node above is damaged, or missing.
        """
        per_block = count_array_entries(self.size)
        blocks = -(-self.length // per_block)
        last = min(first + count, blocks) - 1
        if first >= max(blocks, 1):
            return b""
        pointers = self._find_pointers(first, last, final=last == blocks - 1)
        entries = min((last + 1) * per_block, self.length) - first * per_block
        return read_array_blocks(self.reader, self.tree.name, self.size, pointers, entries)

    def _find_pointers(self, first: int, last: int, *, final: bool) -> list[int]:
        """Where the array blocks `first` to `last` are. When that is the array's end (`final`) there must be no more:
        if the length is wrong and too low, entries would be left out without a word.
        """
        edges = [make_root(self.reader, self.tree, self.root)]
        for height in range(self.height, 0, -1):
            nodes = read_nodes(self.reader, self.tree, edges, leaf=False, root=height == self.height)
            children = list_children(self.reader, self.tree, edges, nodes)
            if children:
                self._refuse_beyond(children[-1].low, last, final=final)
            edges = [child for child in children if child.low <= last and child.high >= first]
        leaves = read_nodes(self.reader, self.tree, edges, leaf=True, root=self.height == 0)
        if leaves and leaves[-1].keys:
            self._refuse_beyond(leaves[-1].keys[-1], last, final=final)
        found = {key: value for leaf in leaves for key, (value,) in zip(leaf.keys, leaf.values, strict=True)}
        limit = count_blocks(self.reader)
        for index in range(first, last + 1):
            if index not in found:
                what = f"{self.tree.name}: array block {index}"
                raise describe_damage(self.root, what, expected="there", found="missing")
        for index in range(first, last + 1):
            if not 0 < found[index] < limit:
                what = f"{self.tree.name}: pointer to array block {index}"
                holder = _find_holder(leaves, index)
                raise describe_damage(holder, what, expected=f"1 to {limit - 1}", found=found[index])
        return [found[index] for index in range(first, last + 1)]

    def _refuse_beyond(self, key: int, last: int, *, final: bool) -> None:
        if final and key > last:
            what = f"{self.tree.name}: index of an array block"
            raise describe_damage(self.root, what, expected=f"below {last + 1}", found=key)


def open_stored(reader: BlockReader, name: str, size: int, root: int, length: int) -> StoredArray:
    """The array at `root` with `length` entries of `size` bytes; `name` is for messages. Reads the way to its first
    leaf.

    :raises DamagedError: a node on that way is damaged.
    """
    tree = PlainTree(name)
    return StoredArray(reader, tree, size, root, length, measure_height(reader, tree, root))


def open_array(reader: BlockReader, name: str, value: np.dtype[Any], root: int, length: int) -> StoredArray:
    """open_stored as an OpenArray."""
    return open_stored(reader, name, value.itemsize, root, length)


def read_array_blocks(reader: BlockReader, name: str, size: int, pointers: list[int], entries: int) -> bytes:
    """The `entries` entries of `size` bytes in the array blocks at `pointers`, of which all but the last must be full.

    :raises DamagedError: the first of them that is damaged.
    """
    per_block = count_array_entries(size)
    blocks = reader.read_bytes(pointers)
    sizes = array("Q", [per_block]) * len(pointers)
    if sizes:
        sizes[-1] = entries - per_block * (len(pointers) - 1)
    if faults := native.find_array_faults(blocks, array("Q", pointers), sizes, size):
        place, what, expected, found = faults[0]
        raise describe_damage(pointers[place], f"{name}: {what}", expected=expected, found=found)
    return native.join_entries(blocks, size, entries)


def count_entries(length: int, value: np.dtype[Any], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many entries the array blocks of these numbers hold, in an array of `length` entries."""
    import numpy as np

    per_block = count_array_entries(value.itemsize)
    due: NDArray[np.int64] = np.minimum(length - indices * per_block, per_block)
    return due


def _find_holder(leaves: list[Node], key: int) -> int:
    """The leaf that holds `key`."""
    return next((leaf.block for leaf in reversed(leaves) if leaf.keys[0] <= key), leaves[0].block)
