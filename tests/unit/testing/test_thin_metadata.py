"""The writer of images: what it promises of sharing and of space, read back with the parts of the reader."""

from __future__ import annotations

import pytest

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import identify_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import write_thin_metadata

MAPPINGS = {block: block for block in range(1000)}


def test_every_block_in_use_has_the_checksum_of_its_kind() -> None:
    image = write_thin_metadata({1: MAPPINGS}, held={1: MAPPINGS})
    blocks = [image[at : at + BLOCK] for at in range(0, len(image), BLOCK)]
    used = read_superblock(MemoryBlocks(image)).metadata_space_map.nr_allocated
    assert all(identify_block(block) for block in blocks[:used])
    assert not any(any(block) for block in blocks[used:])


def test_equal_devices_share_their_root() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: MAPPINGS, 2: MAPPINGS}))
    roots = read_mapping_roots(reader, read_superblock(reader))
    assert roots[1] == roots[2]


def test_without_sharing_they_do_not() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: MAPPINGS, 2: MAPPINGS}, share=False))
    roots = read_mapping_roots(reader, read_superblock(reader))
    assert roots[1] != roots[2]


def test_the_size_asked_for() -> None:
    assert len(write_thin_metadata({1: MAPPINGS}, nr_blocks=200)) == 200 * BLOCK
    with pytest.raises(ValueError, match="allowed"):
        write_thin_metadata({1: MAPPINGS}, nr_blocks=3)


def test_a_small_fan_out_makes_more_nodes() -> None:
    used = [
        read_superblock(MemoryBlocks(write_thin_metadata({1: MAPPINGS}, fan_out=wide))).metadata_space_map.nr_allocated
        for wide in (2, 10, 252)
    ]
    assert used[0] > 900 > 100 < used[1] < 200 > 50 > used[2]
