"""Marks of others are found where they stand, and nowhere else."""

from __future__ import annotations

import pytest

from drystone.formats.label.signatures import HEAD, TAIL, find_signatures

SIZE = 8 << 20


def names(size: int, *marks: tuple[int, bytes]) -> list[str]:
    data = bytearray(size)
    for offset, mark in marks:
        data[offset : offset + len(mark)] = mark
    return [each.name for each in find_signatures(bytes(data[:HEAD]), bytes(data[-TAIL:]), size)]


@pytest.mark.parametrize(
    ("offset", "mark", "name"),
    [
        (512, b"LABELONE", "LVM2 physical volume"),
        (1536, b"LABELONE", "LVM2 physical volume"),
        (0, bytes.fromhex("fc4e2ba9"), "md RAID member"),
        (4096, bytes.fromhex("fc4e2ba9"), "md RAID member"),
        (SIZE - 65536, bytes.fromhex("fc4e2ba9"), "md RAID member"),
        (SIZE - 8192, bytes.fromhex("fc4e2ba9"), "md RAID member"),
        (1080, b"\x53\xef", "ext2, ext3 or ext4 file system"),
        (0, b"XFSB", "XFS file system"),
        (65600, b"_BHRfS_M", "btrfs file system"),
        (510, b"\x55\xaa", "DOS partition table or boot sector"),
        (512, b"EFI PART", "GPT partition table"),
        (SIZE - 512, b"EFI PART", "GPT partition table"),
        (4086, b"SWAPSPACE2", "swap space"),
        (0, b"LUKS\xba\xbe", "LUKS encrypted device"),
        (131072 + 5 * 1024, bytes.fromhex("0cb1ba0000000000"), "ZFS member"),
        (32769, b"CD001", "ISO 9660 file system"),
        (32, (27022010).to_bytes(8, "little"), "dm-thin metadata"),
    ],
)
def test_a_mark_is_found_at_its_place_alone(offset: int, mark: bytes, name: str) -> None:
    assert names(SIZE, (offset, mark)) == [name]
    assert names(SIZE, (offset + 4 if offset < SIZE - 512 else offset - 4, mark)) == []


def test_all_marks_are_told_by_their_places() -> None:
    assert names(SIZE, (1080, b"\x53\xef"), (0, b"XFSB"), (512, b"EFI PART")) == [
        "XFS file system",
        "GPT partition table",
        "ext2, ext3 or ext4 file system",
    ]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 4096, 4097, 65535, 1 << 17])
def test_small_devices_are_no_failure(size: int) -> None:
    assert names(size) == []


def test_where_the_end_is_no_whole_page() -> None:
    size = SIZE + 512
    assert names(size, (size - 512, b"EFI PART")) == ["GPT partition table"]
