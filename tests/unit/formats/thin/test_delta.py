from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from drystone.base.errors import DamagedError, NotFoundError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.delta import UNMAPPED, iter_changed, iter_differences
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata


def compare(image: bytes, left: int, right: int, batch: int = 256) -> list[list[int]]:
    reader = MemoryBlocks(image)
    found: list[list[int]] = []
    for ranges in iter_changed(reader, read_superblock(reader), left, right, batch=batch):
        found.extend(ranges.tolist())
    return found


def test_a_block_differs_when_mapped_on_one_side_or_elsewhere() -> None:
    image = write_thin_metadata({1: {0: 10, 1: 11, 2: 12, 9: 19}, 2: {1: 11, 2: 77, 3: 13, 9: 19}})
    assert compare(image, 1, 2) == [[0, 1], [2, 2]]


def test_the_sides_are_told() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {0: 10, 2: 12}, 2: {2: 77, 3: 13}}))
    (found,) = iter_differences(reader, read_superblock(reader), 1, 2)
    assert found.virtual.tolist() == [0, 2, 3]
    assert found.left.tolist() == [10, 12, UNMAPPED]
    assert found.right.tolist() == [UNMAPPED, 77, 13]


def test_time_alone_is_no_difference() -> None:
    left: BlockMap = {0: (10, 1)}
    right: BlockMap = {0: (10, 2)}
    assert compare(write_thin_metadata({1: left, 2: right}), 1, 2) == []


def test_a_device_does_not_differ_from_itself_and_nothing_is_read() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {block: block for block in range(5000)}}))
    superblock = read_superblock(reader)
    before = reader.blocks_read
    assert list(iter_changed(reader, superblock, 1, 1)) == []
    assert reader.blocks_read - before <= 4


def test_the_cost_is_that_of_the_change() -> None:
    left = {block: block for block in range(100_000)}
    right = dict(left)
    right[50_000] = 200_000
    reader = MemoryBlocks(write_thin_metadata({1: left, 2: right}))
    superblock = read_superblock(reader)
    before = reader.blocks_read
    assert [each.tolist() for each in iter_changed(reader, superblock, 1, 2)] == [[[50_000, 1]]]
    # Per tree: the top level, the way to the first leaf, and one node a level; of some 400 leaves.
    assert reader.blocks_read - before < 30


@pytest.mark.parametrize("batch", [1, 2, 3, 16, 256])
@pytest.mark.parametrize("fan_out", [{1: 2, 2: 2}, {1: 3, 2: 252}, {1: 252, 2: 4}, {1: 5, 2: 7}])
@pytest.mark.parametrize("share", [True, False])
def test_trees_of_any_shape(batch: int, fan_out: dict[int, int], *, share: bool) -> None:
    random = np.random.default_rng(7)
    left = {int(block): int(block) + 5 for block in random.choice(900, 500, replace=False)}
    right = {block: data for block, data in left.items() if block % 13} | {3: 999, 800: 998, 5000: 997}
    image = write_thin_metadata({1: left, 2: right}, fan_out=fan_out, share=share)
    naive = sorted(block for block in left.keys() | right.keys() if left.get(block) != right.get(block))
    found = compare(image, 1, 2, batch)
    assert [block for begin, length in found for block in range(begin, begin + length)] == naive
    assert all(this[0] + this[1] < following[0] for this, following in pairwise(found))
    assert compare(image, 2, 1, batch) == found


def test_against_an_empty_device() -> None:
    image = write_thin_metadata({1: {block: block for block in range(1000)}, 2: {}}, fan_out=6)
    assert compare(image, 1, 2) == [[0, 1000]]
    assert compare(image, 2, 1) == [[0, 1000]]


def test_a_shared_subtree_at_another_place_is_still_skipped() -> None:
    left = {block: block for block in range(1000, 9000)}
    right = left | {block: 50_000 + block for block in range(500)}
    reader = MemoryBlocks(write_thin_metadata({1: left, 2: right}, fan_out=10))
    superblock = read_superblock(reader)
    before = reader.blocks_read
    assert [each.tolist() for each in iter_changed(reader, superblock, 1, 2)] == [[[0, 500]]]
    # 50 new leaves; the 800 shared ones hang below other parents than before, and only parents are read.
    assert reader.blocks_read - before < 50 + 2 * 100 + 40


def test_a_missing_device() -> None:
    with pytest.raises(NotFoundError, match="9"):
        compare(write_thin_metadata({1: {}}), 1, 9)


def test_damage_in_what_is_read() -> None:
    image = bytearray(write_thin_metadata({1: {0: 1}, 2: {0: 2}}))
    image[BLOCK + 100] ^= 1
    with pytest.raises(DamagedError) as caught:
        compare(bytes(image), 1, 2)
    assert caught.value.facts["block"] == 1
