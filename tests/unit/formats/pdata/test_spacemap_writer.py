"""Space maps written and read back; the metadata space map counts itself."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.bitmaps import SpaceMapKind, survey_counts
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.layout import ENTRIES_A_BITMAP
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.spacemap_writer import pack_counts, write_data_space_map, write_metadata_space_map
from drystone.formats.pdata.survey import Survey

BLOCKS = 40_000


def make_counts(nr_blocks: int) -> ReferenceCounts:
    """Counts of 0 to 3, and some large ones."""
    counts = ReferenceCounts(nr_blocks)
    random = np.random.default_rng(nr_blocks)
    if nr_blocks:
        counts.add(random.integers(0, nr_blocks, nr_blocks).astype(np.uint64))
        counts.add(np.full(1000, nr_blocks - 1, dtype=np.uint64))
    return counts


@pytest.mark.parametrize("nr_blocks", [0, 1, 100, ENTRIES_A_BITMAP, ENTRIES_A_BITMAP + 1, 1_200_000])
def test_both_maps_are_read_as_they_were_written(nr_blocks: int) -> None:
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    counts = make_counts(nr_blocks)
    data = write_data_space_map(disk, allocator, counts)
    metadata = write_metadata_space_map(disk, allocator)
    assert (data.nr_blocks, metadata.nr_blocks) == (nr_blocks, BLOCKS)
    assert data.nr_allocated == counts.count_used()
    survey = Survey(disk)
    survey.count_block(0, "superblock")
    length = 0
    for batch in survey_counts(survey, SpaceMapKind.DATA, data):
        assert np.array_equal(batch.counts, counts.get_range(batch.begin, batch.begin + len(batch)))
        length += len(batch)
    assert length == nr_blocks
    stored = np.concatenate([batch.counts for batch in survey_counts(survey, SpaceMapKind.METADATA, metadata)])
    assert survey.damages == []
    assert np.array_equal(stored, survey.counts.get_range(0, BLOCKS))
    assert np.array_equal(stored, allocator.counts.get_range(0, BLOCKS))
    assert metadata.nr_allocated == allocator.next == np.count_nonzero(stored)


def test_blocks_of_the_metadata_that_are_shared() -> None:
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    blocks = allocator.allocate(10)
    for _ in range(5):
        allocator.counts.add(blocks[:3])
    metadata = write_metadata_space_map(disk, allocator)
    (batch, *_) = survey_counts(Survey(disk), SpaceMapKind.METADATA, metadata)
    assert batch.counts[:12].tolist() == [1, 6, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1]


def test_too_little_room_is_told() -> None:
    with pytest.raises(ExhaustedError):
        write_metadata_space_map(MemoryDisk(3 * 4096), Allocator(3))
    write_metadata_space_map(MemoryDisk(4 * 4096), Allocator(4))


def test_counts_are_packed_four_to_a_byte_the_high_bit_first() -> None:
    few = np.array([0, 1, 2, 3, 1, 0, 0, 0, 3, 3, 0, 2], dtype=np.uint8)
    assert pack_counts(few).tolist() == [0b11_01_10_00, 0b00_00_00_10, 0b01_00_11_11]
