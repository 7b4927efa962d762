"""A disk in memory that notes what it is asked to do: for tests of what is written, and durable, before what."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.memory import MemoryDisk

FLUSH = -1
"""In a log: a flush."""


class LoggedDisk(MemoryDisk):
    """A MemoryDisk with a log.

    :ivar log: of each write the lowest block, and FLUSH for each flush, in order.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.log: list[int] = []

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        self.log.append(int(numbers.min()))
        super().write_blocks(numbers, blocks)

    def flush(self) -> None:
        self.log.append(FLUSH)
