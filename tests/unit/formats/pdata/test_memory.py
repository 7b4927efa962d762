from __future__ import annotations

import numpy as np

from drystone.formats.pdata.blocks import BLOCK, MOST_BLOCKS, count_blocks
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk


def test_blocks_come_in_the_order_asked_and_twice() -> None:
    reader = MemoryBlocks(b"".join(bytes([number]) * BLOCK for number in range(5)) + b"rest")
    blocks = reader.read_blocks(np.array([4, 0, 4], dtype=np.uint64))
    assert blocks.shape == (3, BLOCK)
    assert blocks[:, 17].tolist() == [4, 0, 4]
    assert reader.blocks_read == 3
    assert reader.read_bytes([4, 0, 4]) == blocks.tobytes()
    assert len(reader.read_bytes([])) == 0


def test_a_part_of_a_block_does_not_count() -> None:
    assert count_blocks(MemoryBlocks(bytes(BLOCK * 3 + 100))) == 3


def test_no_more_blocks_count_than_metadata_can_have() -> None:
    class Large:
        size = 1 << 60

        def read_blocks(self, numbers: object) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
            raise AssertionError(numbers)

        def read_bytes(self, numbers: object) -> memoryview:
            raise AssertionError(numbers)

    assert count_blocks(Large()) == MOST_BLOCKS


def test_what_is_written_is_read_back() -> None:
    disk = MemoryDisk(3 * BLOCK)
    blocks = np.arange(2 * BLOCK, dtype=np.uint64).astype(np.uint8).reshape(2, BLOCK)
    disk.write_blocks(np.array([2, 0], dtype=np.uint64), blocks)
    disk.flush()
    found = disk.read_blocks(np.array([0, 1, 2], dtype=np.uint64))
    assert np.array_equal(found[[2, 0]], blocks)
    assert not found[1].any()
    assert disk.to_bytes() == found.tobytes()
    assert count_blocks(disk) == 3
