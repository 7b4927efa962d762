"""Writing btrees from the bottom up, out of entries that come in ascending order, in bounded memory.

    writer = TreeWriter(disk, allocator, np.dtype("<u8"))
    writer.append(keys, values)         # as often as there are batches
    root = writer.finish()

Nodes are full, but for the last ones of a level, over which the rest is spread evenly: so every node but the root is at
least half full (the kernel wants a third). Memory: a few hundred nodes a level.

Leaves may be shared between trees, as snapshots share them: a LeafWriter makes them, and TreeWriters take them in
(append_leaves). Where a shared leaf would leave fewer than a third of a node's entries beside it, it is copied.

A block has one reference for each pointer to it; the root gets its one when the tree is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import MismatchError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.blocks import BLOCK, BlockDisk
from drystone.formats.pdata.btree import BATCH, TreeKind, flatten, view_nodes
from drystone.formats.pdata.checksum import BTREE_NODE, seal_blocks
from drystone.formats.pdata.layout import INTERNAL, LEAF, POINTER, make_node_dtype

Numbers = NDArray[np.uint64]
Refer = Callable[[NDArray[Any]], None]


@dataclass(frozen=True, slots=True)
class Leaves:
    """Leaves that are written and may be taken into several trees; arrays of one length, ascending.

    :ivar firsts: first key of each. :ivar lasts: last key of each. :ivar blocks: where they are.
    :ivar counts: entries in each. :ivar referred: whether what they refer to is counted, though no tree takes them.
    """

    firsts: Numbers
    lasts: Numbers
    blocks: Numbers
    counts: NDArray[np.int64]
    referred: bool = False

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, which: slice) -> Leaves:
        return Leaves(self.firsts[which], self.lasts[which], self.blocks[which], self.counts[which], self.referred)


class LeafWriter:
    """Leaves in the making that several trees are to share. They get no references by this, and neither does what
    their values refer to: the first tree that points to a leaf counts that. A leaf that no tree takes stays free.

    :param value: dtype of the leaves' values.
    :param refer: is called with all values at once instead, so that no tree reads a leaf for them: leaves that no tree
        has taken in the end are for the caller to count back.
    :raises ExhaustedError: from any method: the metadata is full.
    """

    def __init__(
        self, disk: BlockDisk, allocator: Allocator, value: np.dtype[Any], *, refer: Refer | None = None
    ) -> None:
        self._level = _Level(disk, allocator, LEAF, value, refer)
        self._pieces: list[Leaves] = []
        self._last = -1

    def append(self, keys: Numbers, values: NDArray[Any]) -> None:
        """Add entries; keys ascend, and are above all that were added before.

        :raises MismatchError: they do not; nothing of this batch was added.
        """
        self._last = check_ascending(self._last, keys)
        self._level.add(keys, values)
        if self._level.is_full():
            self._pieces.append(self._level.write(last=False))

    def finish(self) -> Leaves:
        """Write what is left, and give out all leaves: 32 bytes of memory for each."""
        return join_leaves([*self._pieces, self._level.write(last=True)])


class TreeWriter:
    """One tree in the making. Its blocks are durable after disk.flush().

    :param value: dtype of the leaves' values.
    :param refer: is called with the values of every leaf that gets its first pointer from this tree, for counting what
        they refer to: so not for a shared leaf that another tree has.
    :raises ExhaustedError: from any method: the metadata is full.
    """

    def __init__(
        self, disk: BlockDisk, allocator: Allocator, value: np.dtype[Any], *, refer: Refer | None = None
    ) -> None:
        self._disk = disk
        self._allocator = allocator
        self._value = value
        self._refer = refer
        self._leaves = _Level(disk, allocator, LEAF, value, refer)
        self._above: list[_Level] = []
        self._held: Leaves | None = None
        """Shared leaves that no node points to yet: the last one is copied when too few entries follow it."""
        self._last = -1

    def append(self, keys: Numbers, values: NDArray[Any]) -> None:
        """Add entries; keys ascend, and are above all that were added before.

        :raises MismatchError: they do not; nothing of this batch was added.
        """
        self._last = check_ascending(self._last, keys)
        self._add(keys, values)

    def append_leaves(self, leaves: Leaves) -> None:
        """Add leaves of a LeafWriter of the same disk and allocator: each gets one more reference. A leaf that is less
        than a third full, or that leaves too few entries beside it, is copied.

        :raises MismatchError: their keys are not above all that were added before, or they overlap; nothing was added.
        """
        if len(leaves) and not (leaves.firsts[1:] > leaves.lasts[:-1]).all():
            raise MismatchError("keys of leaves overlap", last=self._last, first=int(leaves.firsts[0]))
        check_ascending(self._last, leaves.firsts)
        if len(leaves):
            self._last = int(leaves.lasts[-1])
        fewest = self._leaves.most // 3
        begin = 0
        while begin < len(leaves):
            alone = 0 < self._leaves.waiting < fewest and self._held is None
            if alone or leaves.counts[begin] < fewest:
                self._add(*self._read(leaves.blocks[begin : begin + 1]))
                begin += 1
                continue
            small = np.flatnonzero(leaves.counts[begin:] < fewest)
            end = begin + int(small[0]) if len(small) else len(leaves)
            self._flush()
            self._held = leaves[begin:end]
            begin = end

    def finish(self) -> int:
        """Write what is left; the root's block. A tree without entries is one empty leaf."""
        self._flush()
        if not self._above:
            self._push(0, self._leaves.write(last=True, empty=True))
        height = 0
        while (root := self._above[height].get_only()) is None:
            self._push(height + 1, self._above[height].write(last=True))
            height += 1
        return root

    def _add(self, keys: Numbers, values: NDArray[Any]) -> None:
        self._leaves.add(keys, values)
        if self._leaves.is_full():
            self._release()
            self._push(0, self._leaves.write(last=False))

    def _flush(self) -> None:
        """Have all entries so far in leaves, and all leaves pointed to from above."""
        if 0 < self._leaves.waiting < self._leaves.most // 3 and self._held is not None:
            self._leaves.add(*self._read(self._held.blocks[-1:]), before=True)
            self._held = self._held[:-1]
        self._release()
        if self._leaves.waiting:
            self._push(0, self._leaves.write(last=True))

    def _release(self) -> None:
        """Point to the leaves that were held back."""
        if self._held is not None:
            held, self._held = self._held, None
            self._take(held)

    def _take(self, leaves: Leaves) -> None:
        """Point to shared leaves, if there are any."""
        if not len(leaves):
            return
        if self._refer is not None and not leaves.referred:
            new = leaves.blocks[self._allocator.counts.get_many(leaves.blocks) == 0]
            for begin in range(0, len(new), BATCH):
                self._refer(self._read(new[begin : begin + BATCH])[1])
        self._push(0, leaves)

    def _push(self, height: int, nodes: Leaves) -> None:
        """Have nodes `height` levels above the leaves pointed to from the level above them."""
        if height == len(self._above):
            self._above.append(_Level(self._disk, self._allocator, INTERNAL, POINTER))
        self._allocator.counts.add(nodes.blocks)
        level = self._above[height]
        level.add(nodes.firsts, nodes.blocks)
        if level.is_full():
            self._push(height + 1, level.write(last=False))

    def _read(self, blocks: Numbers) -> tuple[Numbers, NDArray[Any]]:
        """The entries of leaves, out of the disk."""
        return flatten(view_nodes(self._disk.read_blocks(blocks), TreeKind("tree", self._value), leaf=True))


class _Level:
    """Entries that wait to be written into nodes of one level.

    :ivar most: entries in a node. :ivar waiting: entries that are not written.
    """

    def __init__(
        self,
        disk: BlockDisk,
        allocator: Allocator,
        flags: int,
        value: np.dtype[Any],
        refer: Refer | None = None,
    ) -> None:
        self._disk = disk
        self._allocator = allocator
        self._flags = flags
        self._dtype = make_node_dtype(value)
        self._value = value
        self._refer = refer
        self._pieces: list[tuple[Numbers, NDArray[Any]]] = []
        self._written = False
        self.most: int = self._dtype["keys"].shape[0]
        self.waiting = 0

    def add(self, keys: Numbers, values: NDArray[Any], *, before: bool = False) -> None:
        """Add entries after those that wait, or before them."""
        if not len(keys):
            return
        piece = np.array(keys, dtype=np.uint64), np.array(values, dtype=self._value)
        self._pieces.insert(0 if before else len(self._pieces), piece)
        self.waiting += len(keys)

    def is_full(self) -> bool:
        """Whether it is time to write some."""
        return self.waiting >= (BATCH + 1) * self.most

    def get_only(self) -> int | None:
        """The only child of a level that has no other, which makes it the tree's root."""
        return int(self._pieces[0][1][0]) if self.waiting == 1 and not self._written else None

    def write(self, *, last: bool, empty: bool = False) -> Leaves:
        """Write full nodes, and keep entries for one node or two; when `last` write all, cut evenly.

        :param empty: with nothing to write, write one empty node.
        """
        keys, values = self._gather()
        if last:
            nodes = max(-(-len(keys) // self.most), int(empty))
            counts = np.diff(np.arange(nodes + 1) * len(keys) // max(nodes, 1))
        else:
            counts = np.full(len(keys) // self.most - 1, self.most)
        self._written = self._written or len(counts) > 0
        written: list[Leaves] = []
        begin = 0
        for first in range(0, max(len(counts), 1), BATCH):
            part = counts[first : first + BATCH]
            end = begin + int(part.sum())
            written.append(self._write_nodes(keys[begin:end], values[begin:end], part))
            begin = end
        self._pieces = [(keys[begin:], values[begin:])]
        self.waiting = len(keys) - begin
        return join_leaves(written) if len(written) > 1 else written[0]

    def _gather(self) -> tuple[Numbers, NDArray[Any]]:
        if len(self._pieces) == 1:
            return self._pieces[0]
        keys = np.concatenate([np.zeros(0, dtype=np.uint64), *(piece[0] for piece in self._pieces)])
        return keys, np.concatenate([np.zeros(0, dtype=self._value), *(piece[1] for piece in self._pieces)])

    def _write_nodes(self, keys: Numbers, values: NDArray[Any], counts: NDArray[np.int64]) -> Leaves:
        """Write entries into nodes, `counts` in each."""
        numbers = self._allocator.allocate(len(counts), referred=False)
        if not len(counts):
            return Leaves(keys, keys, numbers, counts, self._refer is not None)
        data = np.zeros((len(counts), BLOCK), dtype=np.uint8)
        nodes: NDArray[Any] = data.view(self._dtype).reshape(-1)
        nodes["flags"], nodes["blocknr"], nodes["nr_entries"] = self._flags, numbers, counts
        nodes["max_entries"], nodes["value_size"] = self.most, self._value.itemsize
        size = int(counts[0])
        if (counts == size).all():
            nodes["keys"][:, :size] = keys.reshape(len(counts), size)
            nodes["values"][:, :size] = values.reshape(len(counts), size)
        else:
            used = np.arange(self.most) < counts[:, None]
            nodes["keys"][used] = keys
            nodes["values"][used] = values
        self._disk.write_blocks(numbers, seal_blocks(data, BTREE_NODE))
        if self._refer is not None:
            self._refer(values)
        lasts = keys[np.cumsum(counts) - 1] if len(keys) else np.zeros(1, dtype=np.uint64)
        return Leaves(nodes["keys"][:, 0].copy(), lasts, numbers, counts, self._refer is not None)


def join_leaves(pieces: Sequence[Leaves]) -> Leaves:
    """Several of one writer, at least one, that follow one another."""
    firsts, lasts, blocks = (
        np.concatenate(each) for each in zip(*((each.firsts, each.lasts, each.blocks) for each in pieces), strict=True)
    )
    return Leaves(firsts, lasts, blocks, np.concatenate([each.counts for each in pieces]), pieces[0].referred)


def check_ascending(last: int, keys: Numbers) -> int:
    """The last key after these, of which the first must be above `last`.

    :raises MismatchError: keys do not ascend.
    """
    if not len(keys):
        return last
    if int(keys[0]) <= last or not (keys[1:] > keys[:-1]).all():
        raise MismatchError(f"keys do not ascend after {last}", last=last, first=int(keys[0]))
    return int(keys[-1])
