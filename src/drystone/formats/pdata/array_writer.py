"""Writing arrays and bitsets out of entries that come in order, in bounded memory. See array.py and bitset.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.bitset import pack_bits
from drystone.formats.pdata.blocks import BLOCK, BlockDisk
from drystone.formats.pdata.btree import BATCH
from drystone.formats.pdata.btree_writer import TreeWriter
from drystone.formats.pdata.checksum import ARRAY_BLOCK, seal_blocks
from drystone.formats.pdata.layout import POINTER, WORD, WORD_BITS, count_array_entries, make_array_dtype


class ArrayWriter:
    """One array in the making; durable after disk.flush(). Memory: BATCH blocks.

    :ivar length: entries so far.
    :param value: dtype of an entry.
    :raises ExhaustedError: from any method: the metadata is full.
    """

    def __init__(self, disk: BlockDisk, allocator: Allocator, value: np.dtype[Any]) -> None:
        self.length = 0
        self._disk = disk
        self._allocator = allocator
        self._value = value
        self._per_block = count_array_entries(value.itemsize)
        self._tree = TreeWriter(disk, allocator, POINTER)
        self._written = 0
        self._waiting: list[NDArray[Any]] = []

    def append(self, values: NDArray[Any]) -> None:
        """Add entries at the end."""
        self._waiting.append(np.array(values, dtype=self._value))
        self.length += len(values)
        if self.length - self._written * self._per_block >= BATCH * self._per_block:
            self._write(last=False)

    def finish(self) -> int:
        """Write what is left; the root's block."""
        self._write(last=True)
        return self._tree.finish()

    def _write(self, *, last: bool) -> None:
        """Write the blocks that are full, and when `last` also one that is not."""
        values = np.concatenate([np.zeros(0, dtype=self._value), *self._waiting])
        per = self._per_block
        count = -(-len(values) // per) if last else len(values) // per
        for begin in range(0, count, BATCH):
            self._write_blocks(values[begin * per : min(begin + BATCH, count) * per])
        self._waiting = [values[count * per :]]

    def _write_blocks(self, values: NDArray[Any]) -> None:
        per = self._per_block
        count = -(-len(values) // per)
        numbers = self._allocator.allocate(count)
        data = np.zeros((count, BLOCK), dtype=np.uint8)
        blocks: NDArray[Any] = data.view(make_array_dtype(self._value)).reshape(-1)
        blocks["max_entries"], blocks["value_size"], blocks["blocknr"] = per, self._value.itemsize, numbers
        blocks["nr_entries"] = per
        whole = len(values) // per
        blocks["values"][:whole] = values[: whole * per].reshape(-1, per)
        if whole < count:
            blocks["nr_entries"][whole] = len(values) - whole * per
            blocks["values"][whole, : len(values) - whole * per] = values[whole * per :]
        self._disk.write_blocks(numbers, seal_blocks(data, ARRAY_BLOCK))
        self._tree.append(np.arange(self._written, self._written + count, dtype=np.uint64), numbers)
        self._written += count


class BitsetWriter:
    """One bitset in the making; durable after disk.flush().

    :ivar nr_bits: bits so far.
    :raises ExhaustedError: from any method: the metadata is full.
    """

    def __init__(self, disk: BlockDisk, allocator: Allocator) -> None:
        self.nr_bits = 0
        self._words = ArrayWriter(disk, allocator, WORD)
        self._left = np.zeros(0, dtype=np.bool_)

    def append(self, bits: NDArray[np.bool_]) -> None:
        """Add bits at the end, any number of them."""
        self.nr_bits += len(bits)
        if len(self._left):
            bits = np.concatenate((self._left, bits))
        whole = len(bits) // WORD_BITS * WORD_BITS
        self._words.append(pack_bits(bits[:whole]))
        self._left = bits[whole:].copy()

    def finish(self) -> int:
        """Write what is left, the last word filled up with zeros; the root's block."""
        self._words.append(pack_bits(self._left))
        return self._words.finish()
