from __future__ import annotations

import io
import struct
import zlib

import pytest

from drystone.base.errors import DamagedError, UnsupportedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.thin.pack import HEADER, MAGIC, Packed, iter_packed, read_header, unpack
from drystone.testing.logged_disk import FLUSH, LoggedDisk
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

IMAGE = write_thin_metadata(
    {1: {block: (block * 7 % 5000, block % 3) for block in range(3000)}, 2: {5: 6}},
    details={1: (4, 2, 1)},
    held={1: {5: 6}},
    nr_blocks=200,
)


def pack(data: bytes) -> tuple[bytes, Packed]:
    tally: list[Packed] = []
    packed = b"".join(iter_packed(MemoryBlocks(data), tally))
    return packed, tally[0]


def restore(packed: bytes) -> bytes:
    file = io.BytesIO(packed)
    blocks = read_header(file)
    disk = MemoryDisk(blocks * BLOCK)
    unpack(file, blocks, disk)
    return disk.to_bytes()


def wrap(code: bytes, *, blocks: int = 4) -> bytes:
    """A packed file with one section of that code."""
    section = zlib.compress(code)
    return HEADER.pack(MAGIC, 3, BLOCK, blocks) + struct.pack("<Q", len(section)) + section


def test_there_and_back() -> None:
    packed, done = pack(IMAGE)
    assert restore(packed) == IMAGE
    assert done.left_out == 0
    assert len(packed) < len(IMAGE) // 40


def test_several_sections() -> None:
    data = IMAGE + bytes(BLOCK * 1500) + IMAGE[:BLOCK]
    assert restore(pack(data)[0]) == data


def test_damaged_blocks_are_left_out_and_counted() -> None:
    image = ThinImage(IMAGE)
    image.spoil(3)
    packed, done = pack(bytes(image.data))
    assert done.left_out == 1
    found = restore(packed)
    assert found[3 * BLOCK : 4 * BLOCK] == bytes(BLOCK)
    assert found[4 * BLOCK :] == IMAGE[4 * BLOCK :]


def test_undefined_bytes_of_nodes_are_kept() -> None:
    image = ThinImage(IMAGE)
    image.put_key(image.superblock.data_mapping_root, 200, 0xDEADBEEF_DEADBEEF)
    image.put_value(image.superblock.data_mapping_root, 251, (1 << 64) - 1)
    assert restore(pack(bytes(image.data))[0]) == bytes(image.data)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"", "no packed"),
        (b"x" * 32, "no packed"),
        (HEADER.pack(MAGIC, 3, 512, 4), "of 512"),
        (HEADER.pack(MAGIC, 3, BLOCK, 0), "of 0 blocks|packed metadata of 0"),
        (HEADER.pack(MAGIC, 3, BLOCK, 1 << 40), "expected 1 to"),
        (HEADER.pack(MAGIC, 3, BLOCK, 4) + b"abc", "cut short"),
        (HEADER.pack(MAGIC, 3, BLOCK, 4) + struct.pack("<Q", 100) + b"abc", "damaged|cut short"),
        (HEADER.pack(MAGIC, 3, BLOCK, 4) + struct.pack("<Q", 3) + b"abc", "damaged"),
        (wrap(b"")[:-3], "cut short"),
        (wrap(b"") + b"1234", "cut short"),
        (wrap(b"\0" * 8), "too early"),
        (wrap(struct.pack("<Q", 9) + b"\xa2\x00\x10" + bytes(BLOCK)), "not below 4"),
        (wrap(struct.pack("<Q", 1) + b"\xa2\x01\x10" + bytes(BLOCK + 1)), "expected at most"),
        (wrap(struct.pack("<Q", 1) + b"\xa2\xff\x0f" + bytes(BLOCK - 1) + b"\x01\x05"), "4103 bytes"),
        (wrap(struct.pack("<Q", 1) + b"\x50" * 100_000), "too early"),
    ],
)
def test_damaged_files_are_refused(packed: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        restore(packed)


def test_another_version_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="version 4"):
        restore(HEADER.pack(MAGIC, 4, BLOCK, 4))


def test_a_section_that_unpacks_to_very_much_is_refused_early() -> None:
    with pytest.raises(DamagedError):
        restore(wrap(b"\x50" * (64 << 20)))


def test_there_is_no_superblock_until_all_else_is_durable() -> None:
    file = io.BytesIO(pack(IMAGE + bytes(BLOCK * 1500) + IMAGE[BLOCK : 2 * BLOCK])[0])
    disk = LoggedDisk(read_header(file) * BLOCK)
    unpack(file, disk.size // BLOCK, disk)
    assert disk.log[:2] == [0, FLUSH]
    assert disk.log[-3:] == [FLUSH, 0, FLUSH]
    assert min(disk.log[2:-3]) > 0


def test_a_file_that_lacks_the_superblock_leaves_none() -> None:
    disk = LoggedDisk(4 * BLOCK)
    disk.data[:] = 0xA5
    file = io.BytesIO(wrap(struct.pack("<Q", 2) + b"\xa2\x00\x10" + IMAGE[2 * BLOCK : 3 * BLOCK]))
    assert unpack(file, read_header(file), disk).blocks == 1
    assert disk.log == [0, FLUSH, 2, FLUSH]
    assert not disk.data[0].any()
