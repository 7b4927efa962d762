from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.thin.check import check_metadata
from drystone.formats.thin.mend import can_mend, clear_needs_check, mend_space_maps
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata


@pytest.fixture
def image() -> ThinImage:
    origin = {block: block for block in range(600)}
    return ThinImage(write_thin_metadata({1: origin, 2: origin | {9: 700}}, nr_data_blocks=4000, nr_blocks=256))


def load(image: ThinImage) -> MemoryDisk:
    disk = MemoryDisk(len(image.data))
    disk.data[:] = np.frombuffer(bytes(image.data), dtype=np.uint8).reshape(-1, 4096)
    return disk


def spoil_counts(image: ThinImage) -> None:
    for place in (200, 201, 4):
        image.put_reference_count(image.get_metadata_bitmap(), place, 0 if place == 4 else 2)
    for place in (3500, 7):
        image.put_reference_count(image.get_data_bitmap(), place, 1)


def test_wrong_counts_are_mended_and_the_trees_stay(image: ThinImage) -> None:
    before = bytes(image.data)
    spoil_counts(image)
    disk = load(image)
    report = check_metadata(disk)
    assert can_mend(report)
    mend_space_maps(disk, report)
    assert check_metadata(disk).findings == []
    roots = read_superblock(MemoryBlocks(before))
    mended = read_superblock(disk)
    assert (mended.data_mapping_root, mended.device_details_root) == (
        roots.data_mapping_root,
        roots.device_details_root,
    )
    assert mended.metadata_space_map.nr_allocated == roots.metadata_space_map.nr_allocated


def test_mending_twice_in_a_row_changes_no_counts(image: ThinImage) -> None:
    spoil_counts(image)
    disk = load(image)
    for _ in range(3):
        mend_space_maps(disk, check_metadata(disk))
        assert check_metadata(disk).findings == []


class PowerCutError(Exception):
    """The power is gone."""


class DyingDisk(MemoryDisk):
    """A disk whose power is cut at the n-th write."""

    writes_left = 0

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        if not self.writes_left:
            raise PowerCutError
        self.writes_left -= 1
        super().write_blocks(numbers, blocks)


def test_a_power_cut_at_any_write_leaves_what_was_there(image: ThinImage) -> None:
    spoil_counts(image)
    before = check_metadata(image.reader)
    for writes in range(100):
        disk = DyingDisk(len(image.data))
        disk.data[:] = load(image).data
        disk.writes_left = writes
        try:
            mend_space_maps(disk, check_metadata(disk))
        except PowerCutError:
            assert check_metadata(disk).findings == before.findings
            continue
        assert writes > 3
        return
    pytest.fail("it never ended")


def test_damage_in_a_tree_is_not_mended(image: ThinImage) -> None:
    spoil_counts(image)
    image.spoil(image.get_value(image.get_root(1), 1))
    assert not can_mend(check_metadata(image.reader))


def test_a_damaged_bitmap_is_not_mended(image: ThinImage) -> None:
    image.spoil(image.get_data_bitmap())
    assert not can_mend(check_metadata(image.reader))


def test_sound_metadata_needs_no_mending(image: ThinImage) -> None:
    assert not can_mend(check_metadata(image.reader))


def test_no_room_changes_nothing(image: ThinImage) -> None:
    superblock = image.superblock
    used = superblock.metadata_space_map.nr_allocated
    image.put_superblock(metadata_space_map=replace(superblock.metadata_space_map, nr_blocks=used))
    image.put_metadata_index(nr_free=0, none_free_before=used)
    image.put_reference_count(image.get_data_bitmap(), 3500, 1)
    disk = load(image)
    before = disk.to_bytes()
    with pytest.raises(ExhaustedError, match="no room"):
        mend_space_maps(disk, check_metadata(disk))
    assert disk.to_bytes() == before


def test_the_flag_is_cleared(image: ThinImage) -> None:
    image.put_superblock(flags=3)
    disk = load(image)
    clear_needs_check(disk)
    assert read_superblock(disk).flags == 2
    assert replace(read_superblock(disk), flags=3) == image.superblock
