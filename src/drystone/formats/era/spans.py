"""A reader that reads what lies between the blocks asked for too, where that is little.

A direct read costs some 0.1 ms however short it is, as long as 40 blocks take. The blocks of one writeset lie beside
those of the next, so that the roots of a thousand of them are a thousand short reads, or a few long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drystone.formats.pdata.blocks import BLOCK, BlockReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_TIMES = 4
"""Blocks are read as one span that is at most so many times as long as they are many."""


class SpanReader:
    """A BlockReader over another one. Memory: MOST_TIMES that of the blocks asked for, while they are read.

    :ivar size: bytes there are.
    """

    def __init__(self, reader: BlockReader) -> None:
        self.reader = reader
        self.size = reader.size

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """See BlockReader."""
        import numpy as np

        if not len(numbers):
            return self.reader.read_blocks(numbers)
        first, last = int(numbers.min()), int(numbers.max())
        if not _is_span(first, last, len(numbers)):
            return self.reader.read_blocks(numbers)
        found: NDArray[np.uint8] = self.reader.read_blocks(np.arange(first, last + 1, dtype=np.uint64))
        return found[(numbers - np.uint64(first)).view(np.int64)]

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        """See BlockReader."""
        if not numbers or not _is_span(min(numbers), max(numbers), len(numbers)):
            return self.reader.read_bytes(numbers)
        first = min(numbers)
        found = self.reader.read_bytes(range(first, max(numbers) + 1))
        places = ((number - first) * BLOCK for number in numbers)
        return memoryview(b"".join(found[place : place + BLOCK] for place in places))


def _is_span(first: int, last: int, count: int) -> bool:
    """Whether `count` blocks from `first` to `last` are read as one span: there is little between them."""
    span = last - first + 1
    return count < span <= MOST_TIMES * count
