from __future__ import annotations

import struct

import pytest

from drystone.base.errors import DamagedError, NotFoundError
from drystone.formats.era.superblock import guess_superblock, parse_superblock, read_held_superblock, read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import ERA_SUPERBLOCK, seal_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata

IMAGE = write_era_metadata([1, 0, 2], {3: {0}}, current={1}, current_era=4, data_block_size=24, held=Held([1], {}, 2))


def change(offset: int, kind: str, value: int, *, seal: bool = True) -> bytes:
    block = bytearray(IMAGE[:BLOCK])
    struct.pack_into(kind, block, offset, value)
    return seal_block(bytes(block), ERA_SUPERBLOCK) if seal else bytes(block)


def test_all_fields() -> None:
    superblock = read_superblock(MemoryBlocks(IMAGE))
    assert (superblock.nr_blocks, superblock.current_era, superblock.current_nr_bits) == (3, 4, 3)
    assert (superblock.data_block_size, superblock.data_block_bytes) == (24, 24 * 512)
    assert superblock.live
    assert superblock.metadata_space_map.nr_blocks == len(IMAGE) // BLOCK


def test_the_snapshot() -> None:
    held = read_held_superblock(MemoryBlocks(IMAGE))
    assert (held.location, held.nr_blocks, held.current_era) == (
        read_superblock(MemoryBlocks(IMAGE)).metadata_snap,
        1,
        2,
    )
    assert not held.live
    with pytest.raises(NotFoundError, match="no metadata snapshot is held"):
        read_held_superblock(MemoryBlocks(write_era_metadata([1])))


@pytest.mark.parametrize(
    ("offset", "kind", "value", "message"),
    [
        (32, "<Q", 27022010, "block 0: era magic is 27022010, expected 2126579579"),
        (8, "<Q", 1, "block 0: superblock location is 1, expected 0"),
        (40, "<I", 2, "block 0: superblock version is 2, expected 1"),
        (172, "<I", 0, "block 0: data block size in sectors is 0, expected 1 to 4294967295"),
        (176, "<I", 16, "block 0: metadata block size in sectors is 16, expected 8"),
        (180, "<I", 1 << 31, "block 0: number of data blocks is 2147483648, expected 0 to 2147483647"),
    ],
)
def test_what_is_refused(offset: int, kind: str, value: int, message: str) -> None:
    with pytest.raises(DamagedError) as caught:
        parse_superblock(change(offset, kind, value))
    assert caught.value.message == message


def test_a_wrong_checksum_and_what_is_left() -> None:
    block = change(184, "<I", 9, seal=False)
    with pytest.raises(DamagedError, match="superblock checksum"):
        parse_superblock(block)
    remains = guess_superblock(block)
    assert remains is not None
    assert (remains.current_era, remains.nr_blocks) == (9, 3)
    assert guess_superblock(bytes(BLOCK)) is None
    assert guess_superblock(change(172, "<I", 0, seal=False)) is None


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1])
def test_too_short(size: int) -> None:
    with pytest.raises(DamagedError, match=f"size is {size}, expected 4096 bytes or more"):
        read_superblock(MemoryBlocks(IMAGE[:size]))


def test_a_snapshot_beyond_the_end() -> None:
    image = change(216, "<Q", 10_000) + IMAGE[BLOCK:]
    with pytest.raises(DamagedError, match="superblock location is 10000"):
        read_held_superblock(MemoryBlocks(image))
