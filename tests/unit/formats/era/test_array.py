from __future__ import annotations

import struct

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.array import StoredArray
from drystone.formats.era.array import open_array as open_stored
from drystone.formats.era.eras import ERA
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import ARRAY_BLOCK, BTREE_NODE, seal_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import write_era_metadata

SIZE = 12_345
IMAGE = write_era_metadata(list(range(SIZE)), current_era=SIZE, fan_out=3)


def open_array(image: bytes = IMAGE, length: int = SIZE) -> StoredArray:
    reader = MemoryBlocks(image)
    return open_stored(reader, "era array", ERA, read_superblock(reader).era_array_root, length)


def find_array_block(number: int) -> int:
    """Where array block `number` is."""
    first = struct.pack("<I", number * 1018)
    return next(at for at in range(1, len(IMAGE) // BLOCK) if IMAGE[at * BLOCK + 24 :][:4] == first and is_array(at))


def is_array(at: int) -> bool:
    block = IMAGE[at * BLOCK : (at + 1) * BLOCK]
    return seal_block(block, ARRAY_BLOCK) == block


def change(at: int, offset: int, value: int, salt: int | None) -> bytes:
    image = bytearray(IMAGE)
    struct.pack_into("<I", image, at * BLOCK + offset, value)
    if salt is not None:
        image[at * BLOCK : (at + 1) * BLOCK] = seal_block(bytes(image[at * BLOCK : (at + 1) * BLOCK]), salt)
    return bytes(image)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 100), (3, 4), (12, 1), (12, 9)])
def test_ranges(first: int, count: int) -> None:
    array = open_array()
    assert array.height == 2
    expected = np.arange(SIZE)[first * 1018 : (first + count) * 1018]
    assert np.array_equal(array.read(first, count), expected)


def test_beyond_the_end_there_is_nothing() -> None:
    assert len(open_array().read(13, 5)) == 0


def test_a_range_reads_its_own_blocks() -> None:
    array = open_array()
    assert isinstance(array.reader, MemoryBlocks)
    array.reader.blocks_read = 0
    array.read(5, 1)
    assert array.reader.blocks_read == array.height + 2


@pytest.mark.parametrize(
    ("offset", "value", "salt", "message"),
    [
        (0, 1, None, "era array: checksum is 1"),
        (4, 1017, ARRAY_BLOCK, "era array: max entries is 1017, expected 1018"),
        (8, 1000, ARRAY_BLOCK, "era array: number of entries is 1000, expected 1018"),
        (12, 8, ARRAY_BLOCK, "era array: value size is 8, expected 4"),
        (16, 1, ARRAY_BLOCK, "era array: location is 1, expected"),
    ],
)
def test_damage_in_a_block_is_named_when_it_is_read(offset: int, value: int, salt: int | None, message: str) -> None:
    at = find_array_block(4)
    array = open_array(change(at, offset, value, salt))
    array.read(0, 4)
    array.read(5, 8)
    with pytest.raises(DamagedError, match=f"block {at}: {message}"):
        array.read(4, 1)


def test_another_length() -> None:
    with pytest.raises(DamagedError, match="array block 13 is missing"):
        open_array(length=SIZE + 1018).read(13, 1)
    with pytest.raises(DamagedError, match="number of entries is 129, expected 128"):
        open_array(length=SIZE - 1).read(12, 1)


def test_a_pointer_beyond_the_end() -> None:
    small = write_era_metadata([1] * 3, current_era=1)
    root = read_superblock(MemoryBlocks(small)).era_array_root
    image = bytearray(small)
    struct.pack_into("<Q", image, root * BLOCK + 32 + 252 * 8, 5000)
    image[root * BLOCK : (root + 1) * BLOCK] = seal_block(bytes(image[root * BLOCK : (root + 1) * BLOCK]), BTREE_NODE)
    with pytest.raises(DamagedError, match=f"block {root}: era array: pointer to array block 0 is 5000"):
        open_array(bytes(image), 3).read(0, 1)
