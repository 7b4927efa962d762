from __future__ import annotations

import re

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.eras import find_ranges, iter_changed, iter_eras
from drystone.formats.era.layout import STEP
from drystone.formats.era.superblock import Superblock, read_held_superblock, read_superblock
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata


def read_eras(reader: MemoryBlocks, superblock: Superblock) -> list[int]:
    batches = list(iter_eras(reader, superblock))
    assert [batch.begin for batch in batches] == list(range(0, superblock.nr_blocks, STEP))
    return [era for batch in batches for era in batch.eras.tolist()]


def read_changed(reader: MemoryBlocks, superblock: Superblock, since: int) -> list[list[int]]:
    return [row for ranges in iter_changed(reader, superblock, since) for row in ranges.tolist()]


def test_the_newest_of_array_archived_and_current_wins() -> None:
    image = write_era_metadata([1, 2, 2, 0, 4], {3: {0, 2}, 4: {0}}, current={1}, current_era=5)
    reader = MemoryBlocks(image)
    assert read_eras(reader, read_superblock(reader)) == [4, 5, 3, 0, 4]


def test_changed_is_inclusive_and_merged() -> None:
    image = write_era_metadata([1, 2, 2, 0, 4], {3: {0, 2}, 4: {0}}, current={1}, current_era=5)
    reader = MemoryBlocks(image)
    superblock = read_superblock(reader)
    assert read_changed(reader, superblock, 0) == [[0, 5]]
    assert read_changed(reader, superblock, 1) == [[0, 3], [4, 1]]
    assert read_changed(reader, superblock, 4) == [[0, 2], [4, 1]]
    assert read_changed(reader, superblock, 5) == [[1, 1]]
    assert read_changed(reader, superblock, 6) == []


def test_a_snapshot_shows_its_own_state_and_not_its_current_writeset() -> None:
    held = Held([1, 0, 0], {2: {2}}, 3, current_root=1)
    reader = MemoryBlocks(write_era_metadata([1, 2, 2], {3: {0}}, current={1}, current_era=4, held=held))
    assert read_eras(reader, read_held_superblock(reader)) == [1, 0, 2]
    assert read_eras(reader, read_superblock(reader)) == [3, 4, 2]


@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, 2 * STEP + 77])
def test_batches_of_every_size(size: int) -> None:
    random = np.random.default_rng(size)
    eras = random.integers(0, 4, size)
    bits = {era: set(np.flatnonzero(random.random(size) < 0.1).tolist()) for era in (4, 5)}
    reader = MemoryBlocks(write_era_metadata(eras.tolist(), bits, current_era=6, fan_out=7))
    superblock = read_superblock(reader)
    expected = eras.copy()
    for era, blocks in bits.items():
        expected[list(blocks)] = era
    assert read_eras(reader, superblock) == expected.tolist()
    changed = np.zeros(size, dtype=bool)
    last = -1
    for begin, length in read_changed(reader, superblock, 4):
        assert begin > last
        last = begin + length
        changed[begin:last] = True
    assert np.array_equal(changed, expected >= 4)


def test_writesets_from_before_and_after_a_resize() -> None:
    image = write_era_metadata([1, 1, 1], {3: {0}, 4: {1, 90}}, current_era=5, nr_bits={3: 1, 4: 100})
    reader = MemoryBlocks(image)
    assert read_eras(reader, read_superblock(reader)) == [3, 4, 1]
    assert read_changed(reader, read_superblock(reader), 3) == [[0, 2]]


def test_writesets_of_earlier_eras_are_not_read() -> None:
    reader = MemoryBlocks(write_era_metadata([0] * 10, {3: {0}, 4: {1}}, current_era=5))
    superblock = read_superblock(reader)
    read_changed(reader, superblock, 3)
    all_of_them, reader.blocks_read = reader.blocks_read, 0
    read_changed(reader, superblock, 5)
    assert reader.blocks_read < all_of_them


def test_damage_is_named() -> None:
    image = bytearray(write_era_metadata([1] * 3000, {3: {0}}, current_era=5))
    reader = MemoryBlocks(bytes(image))
    root = read_superblock(reader).era_array_root
    image[root * 4096 + 40] ^= 1
    reader = MemoryBlocks(bytes(image))
    with pytest.raises(DamagedError, match=f"block {root}: era array: checksum"):
        read_eras(reader, read_superblock(reader))


@pytest.mark.parametrize("flags", ["", "0", "1", "01", "10", "0110111", "1001", "11"])
def test_ranges_are_the_runs_of_true(flags: str) -> None:
    runs = [(match.start() + 100, len(match[0])) for match in re.finditer("1+", flags)]
    found = find_ranges(np.array([flag == "1" for flag in flags], dtype=np.bool_), 100)
    assert found.dtype == np.uint64
    assert [tuple(row) for row in found.tolist()] == runs
