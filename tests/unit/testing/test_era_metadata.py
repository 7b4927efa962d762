from __future__ import annotations

import pytest

from drystone.formats.era.superblock import read_held_superblock, read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import identify_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata


def test_every_block_in_use_can_be_told() -> None:
    image = write_era_metadata([1, 2] * 2000, {3: {0}}, current={1}, current_era=4, fan_out=2)
    used = read_superblock(MemoryBlocks(image)).metadata_space_map.nr_allocated
    kinds = [identify_block(image[at : at + BLOCK]) for at in range(0, used * BLOCK, BLOCK)]
    assert kinds[0] == "era superblock"
    assert None not in kinds
    assert not any(image[used * BLOCK :])


def test_a_snapshot_shares_what_is_equal() -> None:
    eras = [1] * 5000
    alone = write_era_metadata(eras, {2: {0}}, current_era=3)
    same = write_era_metadata(eras, {2: {0}}, current_era=3, held=Held(eras, {2: {0}}, 3))
    other = write_era_metadata(eras, {2: {0}}, current_era=3, held=Held([0] * 5000, {2: {1}}, 3))
    used = [read_superblock(MemoryBlocks(image)).metadata_space_map.nr_allocated for image in (alone, same, other)]
    assert used[1] == used[0] + 1
    assert used[2] > used[1] + 5
    assert read_held_superblock(MemoryBlocks(same)).era_array_root == read_superblock(MemoryBlocks(same)).era_array_root


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="the image needs"):
        write_era_metadata([1] * 5000, nr_metadata_blocks=5)
