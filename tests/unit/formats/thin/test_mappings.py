from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError, NotFoundError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata


def read(image: bytes, dev_id: int, batch: int = 256) -> dict[int, tuple[int, int]]:
    reader = MemoryBlocks(image)
    found: dict[int, tuple[int, int]] = {}
    for each in iter_mappings(reader, read_superblock(reader), dev_id, batch=batch):
        found.update(zip(each.virtual.tolist(), zip(each.data.tolist(), each.time.tolist(), strict=True), strict=True))
    return found


def test_data_block_and_time_are_told_apart() -> None:
    mappings: BlockMap = {0: (5, 1), (1 << 64) - 1: ((1 << 40) - 1, (1 << 24) - 1)}
    assert read(write_thin_metadata({1: mappings}, nr_data_blocks=10), 1) == mappings


def test_an_empty_device_has_no_batches() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {}}))
    assert list(iter_mappings(reader, read_superblock(reader), 1)) == []


@pytest.mark.parametrize("batch", [1, 3, 256])
def test_batches_are_bounded_and_ordered(batch: int) -> None:
    mappings = {block: block + 7 for block in range(3000)}
    reader = MemoryBlocks(write_thin_metadata({1: mappings}, fan_out=10))
    sizes = [len(each) for each in iter_mappings(reader, read_superblock(reader), 1, batch=batch)]
    assert sum(sizes) == 3000
    assert max(sizes) <= 10 * batch


def test_a_missing_device() -> None:
    with pytest.raises(NotFoundError):
        read(write_thin_metadata({1: {}}), 2)


def test_a_truncated_image_is_damage() -> None:
    image = write_thin_metadata({1: {block: block for block in range(1000)}})
    with pytest.raises(DamagedError):
        read(image[: 3 * BLOCK], 1)
