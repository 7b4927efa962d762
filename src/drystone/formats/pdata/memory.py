"""Metadata blocks in memory: to read, or to write and read back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BLOCK


class MemoryBlocks:
    """Metadata blocks out of `data`; bytes beyond the last whole block are not seen.

    :ivar size: bytes of `data`.
    :ivar blocks_read: how many blocks have been asked for so far, for measurements.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.size = len(data)
        whole = len(data) // BLOCK * BLOCK
        self._blocks = np.frombuffer(memoryview(data)[:whole], dtype=np.uint8).reshape(-1, BLOCK)
        self.blocks_read = 0

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        self.blocks_read += len(numbers)
        return self._blocks[numbers]

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        return make_bytes(self.read_blocks(np.array(numbers, dtype=np.uint64)))


class MemoryDisk:
    """`size` bytes, zero at first, to write metadata blocks to and read them back.

    :ivar data: the bytes as they are now; shape (blocks, 4096).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = np.zeros((size // BLOCK, BLOCK), dtype=np.uint8)

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        return self.data[numbers]

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        return make_bytes(self.read_blocks(np.array(numbers, dtype=np.uint64)))

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        self.data[numbers] = blocks

    def flush(self) -> None:
        """Nothing is less durable than memory."""

    def to_bytes(self) -> bytes:
        """All of it."""
        return self.data.tobytes()


def make_bytes(blocks: NDArray[np.uint8]) -> memoryview:
    """What BlockReader.read_bytes gives, out of what read_blocks gave."""
    return np.ascontiguousarray(blocks).reshape(-1).data
