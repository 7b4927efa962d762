from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.era.spans import MOST_TIMES, SpanReader
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks


class NotingReader(MemoryBlocks):
    """Notes how many blocks each read was for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[int] = []

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        self.asked.append(len(numbers))
        return super().read_blocks(numbers)


DATA = b"".join(bytes([number]) * BLOCK for number in range(40))


@pytest.mark.parametrize(
    ("numbers", "asked"),
    [
        ([], 0),
        ([7], 1),
        ([3, 4, 5], 3),
        ([3, 6, 9], 7),
        ([9, 3, 6, 3], 7),
        ([0, 2 * MOST_TIMES - 1], 2 * MOST_TIMES),
        ([0, 2 * MOST_TIMES], 2),
    ],
)
def test_what_lies_between_is_read_where_it_is_little(numbers: list[int], asked: int) -> None:
    inner = NotingReader(DATA)
    reader = SpanReader(inner)
    blocks = reader.read_blocks(np.array(numbers, dtype=np.uint64))
    assert blocks[:, 0].tolist() == numbers
    assert blocks.shape == (len(numbers), BLOCK)
    assert blocks.flags.c_contiguous
    assert inner.asked == [asked]
    assert reader.size == len(DATA)
    assert reader.read_bytes(numbers) == blocks.tobytes()
    assert inner.asked == [asked, asked]
