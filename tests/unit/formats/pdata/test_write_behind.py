from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.write_behind import WriteBehind


def numbers(*values: int) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def fill(count: int, value: int) -> NDArray[np.uint8]:
    return np.full((count, 4096), value, dtype=np.uint8)


class Watched(MemoryDisk):
    """Counts its writes, and fails from the one on that is told."""

    def __init__(self, size: int, fails_at: int = 1 << 30) -> None:
        super().__init__(size)
        self.writes: list[int] = []
        self.threads: set[int] = set()
        self.flushed_after = -1
        self.fails_at = fails_at

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        if len(self.writes) >= self.fails_at:
            raise OSError(5, "the disk failed")
        self.writes.append(len(numbers))
        self.threads.add(threading.get_ident())
        super().write_blocks(numbers, blocks)

    def flush(self) -> None:
        self.flushed_after = len(self.writes)


def test_small_writes_are_gathered_and_done_by_another_thread() -> None:
    disk = Watched(4096 * 2000)
    with WriteBehind(disk) as behind:
        assert behind.size == disk.size
        for begin in range(0, 1000, 10):
            behind.write_blocks(np.arange(begin, begin + 10, dtype=np.uint64), fill(10, begin % 251))
        behind.flush()
        assert disk.flushed_after == len(disk.writes)
    assert len(disk.writes) <= 5
    assert threading.get_ident() not in disk.threads
    assert disk.data[:1000, 0].tolist() == [block // 10 * 10 % 251 for block in range(1000)]


def test_what_was_written_is_read_back_at_once() -> None:
    with WriteBehind(MemoryDisk(4096 * 10)) as behind:
        behind.write_blocks(numbers(5, 3), fill(2, 9))
        assert behind.read_blocks(numbers(3, 4))[:, 0].tolist() == [9, 0]
        behind.write_blocks(numbers(3), fill(1, 7))
        assert behind.read_blocks(numbers(3, 5))[:, 0].tolist() == [7, 9]


def test_a_later_write_of_a_block_wins() -> None:
    disk = MemoryDisk(4096 * 10)
    with WriteBehind(disk) as behind:
        behind.write_blocks(numbers(1), fill(1, 1))
        behind.write_blocks(numbers(1), fill(1, 2))
    assert disk.data[1, 0] == 2


@pytest.mark.parametrize("count", [1, 300, 3000])
def test_a_failure_is_raised(count: int) -> None:
    disk = Watched(4096 * 4000, fails_at=0)

    def write() -> None:
        with WriteBehind(disk) as behind:
            for block in range(count):
                behind.write_blocks(numbers(block), fill(1, 1))

    with pytest.raises(OSError, match="the disk failed"):
        write()
