from __future__ import annotations

import struct

import pytest

from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import THIN_SUPERBLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.superblock import parse_superblock, read_held_superblock, read_superblock
from drystone.testing.thin_metadata import seal_block, write_thin_metadata


def change(offset: int, form: str, value: int) -> bytes:
    block = bytearray(write_thin_metadata({1: {0: 5}})[:BLOCK])
    struct.pack_into(form, block, offset, value)
    return seal_block(bytes(block), THIN_SUPERBLOCK)


def test_every_field() -> None:
    image = write_thin_metadata(
        {1: {0: 5}}, time=9, transaction_id=11, data_block_size=256, nr_blocks=100, nr_data_blocks=50
    )
    superblock = read_superblock(MemoryBlocks(image))
    assert (superblock.time, superblock.transaction_id, superblock.version, superblock.location) == (9, 11, 2, 0)
    assert (superblock.data_block_size, superblock.data_block_bytes) == (256, 131072)
    assert (superblock.metadata_nr_blocks, superblock.metadata_block_size) == (100, 8)
    assert (superblock.metadata_space_map.nr_blocks, superblock.data_space_map.nr_blocks) == (100, 50)
    assert (superblock.data_space_map.nr_allocated, superblock.data_space_map.nr_free) == (1, 49)
    assert superblock.held_root == 0
    assert superblock.uuid == bytes(16)
    assert not superblock.needs_check


def test_needs_check() -> None:
    assert parse_superblock(change(4, "<I", 1)).needs_check


@pytest.mark.parametrize(
    ("offset", "form", "value", "what"),
    [
        (32, "<Q", 2126579579, "magic"),
        (8, "<Q", 4, "location"),
        (40, "<I", 3, "version"),
        (40, "<I", 0, "version"),
        (336, "<I", 0, "data block size"),
        (336, "<I", 64, "data block size"),
        (336, "<I", 200, "data block size"),
        (336, "<I", 2097152 + 128, "data block size"),
        (340, "<I", 16, "metadata block size"),
    ],
)
def test_a_wrong_field_is_named(offset: int, form: str, value: int, what: str) -> None:
    with pytest.raises(DamagedError) as caught:
        parse_superblock(change(offset, form, value))
    assert what in str(caught.value.facts["what"])
    assert caught.value.facts["found"] == value


def test_a_wrong_checksum_is_named() -> None:
    block = bytearray(write_thin_metadata({})[:BLOCK])
    block[4000] ^= 1
    with pytest.raises(DamagedError, match="checksum"):
        parse_superblock(bytes(block))


def test_unknown_features_are_not_read() -> None:
    with pytest.raises(UnsupportedError, match="0x4"):
        parse_superblock(change(360, "<I", 4))


@pytest.mark.parametrize("length", [0, 100, 4095])
def test_too_few_bytes(length: int) -> None:
    with pytest.raises(DamagedError):
        parse_superblock(bytes(length))
    with pytest.raises(DamagedError, match=str(length)):
        read_superblock(MemoryBlocks(bytes(length)))


def test_the_held_superblock() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {0: 5}}, held={1: {0: 4}}, nr_blocks=64))
    live, held = read_superblock(reader), read_held_superblock(reader)
    assert held.location == live.held_root
    assert held.held_root == 0
    assert held.data_mapping_root != live.data_mapping_root
    assert (held.data_space_map.nr_blocks, held.metadata_nr_blocks) == (0, 64)


def test_no_held_superblock() -> None:
    with pytest.raises(NotFoundError, match="no metadata snapshot"):
        read_held_superblock(MemoryBlocks(write_thin_metadata({})))


def test_a_held_root_beyond_the_end() -> None:
    with pytest.raises(DamagedError) as caught:
        read_held_superblock(MemoryBlocks(change(56, "<Q", 1 << 40)))
    assert caught.value.facts["block"] == 1 << 40
