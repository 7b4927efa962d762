"""Metadata blocks: their size, and what a reader of them must do.

numpy is imported for the types only, so that reading a superblock costs no numpy start-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 4096
"""Bytes in a metadata block, whatever the data block size is."""

MOST_BLOCKS = 255 * 16320
"""Blocks that metadata can have at most (15.875 GiB): 255 index entries of 16320 blocks each.
Source: persistent-data/dm-space-map-metadata.h of Linux 6.1, and MAX_METADATA_BITMAPS."""


class BlockReader(Protocol):
    """Where metadata blocks come from: a device, a file, bytes in memory.

    A reader allocates n * 4096 bytes for n numbers; callers ask in bounded batches.
    """

    @property
    def size(self) -> int:
        """Bytes there are. What is beyond the last whole block is not read."""

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """The blocks of these numbers, in the order asked: C-contiguous, shape (n, 4096).

        Numbers may come in any order and twice. The caller has checked that each is below size // 4096.

        :raises OSError: the device failed.
        """

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        """The same blocks as len(numbers) * 4096 bytes, for readers that need no numpy.

        :raises OSError: the device failed.
        """


class BlockWriter(Protocol):
    """Where metadata blocks go to."""

    @property
    def size(self) -> int:
        """Bytes there are; writing does not make it larger."""

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        """Write blocks, shape (n, 4096), to these places, each below size // 4096. Durable after flush().

        :raises OSError: the device failed.
        """

    def flush(self) -> None:
        """Return when all that was written is durable."""


class BlockDisk(BlockReader, BlockWriter, Protocol):
    """Both: what new metadata is written to. What was written can be read back."""


def count_blocks(reader: BlockReader) -> int:
    """Blocks that metadata on `reader` can use: what is there, and at most MOST_BLOCKS."""
    return min(reader.size // BLOCK, MOST_BLOCKS)
