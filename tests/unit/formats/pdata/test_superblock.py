from __future__ import annotations

import struct

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import seal_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.superblock import (
    SuperblockKind,
    check_head,
    clear_superblock_block,
    read_superblock_block,
    write_superblock_block,
)
from drystone.testing.logged_disk import FLUSH, LoggedDisk

KIND = SuperblockKind("test", 77, 12345, (1, 3))
ONE_VERSION = SuperblockKind("test", 77, 12345, (3,))


def make_block(location: int = 0, magic: int = 77, version: int = 3, *, salt: int = 12345) -> bytes:
    head = struct.pack("<IIQ16sQI", 0, 0, location, bytes(16), magic, version)
    return seal_block(head.ljust(BLOCK, b"\1"), salt)


def test_a_head_that_is_right() -> None:
    check_head(KIND, make_block(), 0)
    check_head(KIND, make_block(5, version=1), 5)
    check_head(ONE_VERSION, make_block(), 0)


@pytest.mark.parametrize(
    ("kind", "block", "what", "expected", "found"),
    [
        (KIND, make_block(magic=78, salt=1), "test magic", 77, 78),
        (KIND, make_block(location=2), "superblock location", 0, 2),
        (KIND, make_block(version=2), "superblock version", "1 or 3", 2),
        (ONE_VERSION, make_block(version=1), "superblock version", 3, 1),
        (KIND, b"short", "length", BLOCK, 5),
    ],
)
def test_the_first_thing_wrong_is_named(
    kind: SuperblockKind, block: bytes, what: str, expected: int | str, found: int
) -> None:
    with pytest.raises(DamagedError) as caught:
        check_head(kind, block, 0)
    facts = caught.value.facts
    assert (facts["block"], facts["what"], facts["expected"], facts["found"]) == (0, what, expected, found)


def test_a_checksum_is_looked_at_unless_told_otherwise() -> None:
    block = make_block(salt=1)
    with pytest.raises(DamagedError, match="superblock checksum"):
        check_head(KIND, block, 0)
    check_head(KIND, block, 0, sealed=False)


def test_a_block_is_read_where_it_is() -> None:
    data = bytes(BLOCK) + make_block(1) + b"more"
    assert read_superblock_block(MemoryBlocks(data), 1) == make_block(1)
    assert read_superblock_block(MemoryBlocks(data), 0) == bytes(BLOCK)
    for location in (2, -1):
        with pytest.raises(DamagedError, match="superblock location") as caught:
            read_superblock_block(MemoryBlocks(data), location)
        assert caught.value.facts["expected"] == "below 2"
    with pytest.raises(DamagedError, match="size"):
        read_superblock_block(MemoryBlocks(bytes(BLOCK - 1)), 0)


def test_it_is_written_after_all_else_is_durable_and_is_durable_then() -> None:
    disk = LoggedDisk(3 * BLOCK)
    write_superblock_block(disk, 2, make_block(2))
    assert disk.log == [FLUSH, 2, FLUSH]
    assert disk.to_bytes() == bytes(2 * BLOCK) + make_block(2)


def test_it_is_cleared_before_anything_else() -> None:
    disk = LoggedDisk(2 * BLOCK)
    write_superblock_block(disk, 0, make_block())
    disk.log.clear()
    clear_superblock_block(disk)
    assert disk.log == [0, FLUSH]
    assert disk.to_bytes() == bytes(2 * BLOCK)
