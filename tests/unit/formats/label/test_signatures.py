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


MARKS: list[tuple[int, bytes, str]] = [
    *((sector * 512, b"LABELONE", "LVM2 physical volume") for sector in range(4)),
    (0, b"HM\x01\x00", "LVM1 physical volume"),
    *((at, bytes.fromhex("fc4e2ba9"), "md RAID member") for at in (0, 4096, SIZE - 65536, SIZE - 8192)),
    *((at, b"EFI PART", "GPT partition table") for at in (512, 4096, SIZE - 512, SIZE - 4096)),
    (510, b"\x55\xaa", "DOS partition table or boot sector"),
    (1080, b"\x53\xef", "ext2, ext3 or ext4 file system"),
    (0, b"XFSB", "XFS file system"),
    (65600, b"_BHRfS_M", "btrfs file system"),
    (4120, bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef"), "bcachefs file system"),
    (4120, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"), "bcache device"),
    (1024, (0xF2F52010).to_bytes(4, "little"), "F2FS file system"),
    (1024, (0xE0F5E1E2).to_bytes(4, "little"), "EROFS file system"),
    (0, b"hsqs", "squashfs file system"),
    (3, b"NTFS    ", "NTFS file system"),
    (3, b"EXFAT   ", "exFAT file system"),
    (54, b"FAT16   ", "FAT file system"),
    (82, b"FAT32   ", "FAT file system"),
    (32769, b"CD001", "ISO 9660 file system"),
    (32769, b"BEA01", "UDF file system"),
    (32768, b"JFS1", "JFS file system"),
    (65588, b"ReIsErFs", "ReiserFS file system"),
    (65588, b"ReIsEr2Fs", "ReiserFS file system"),
    (1030, b"\x34\x34", "NILFS2 file system"),
    (65536, bytes.fromhex("01161970"), "GFS2 file system"),
    *((at, b"OCFSV2", "OCFS2 file system") for at in (1024, 2048, 4096, 8192)),
    (32, b"NXSB", "APFS container"),
    *((at, mark, "swap space") for at in (4086, 65526) for mark in (b"SWAPSPACE2", b"SWAP-SPACE")),
    (0, b"LUKS\xba\xbe", "LUKS encrypted device"),
    *((at, b"SKUL\xba\xbe", "LUKS encrypted device") for at in (16384, 32768, 65536, 131072)),
    (0, b"bluestore block device\n", "Ceph BlueStore device"),
    (516, b"!Stra0tis\x86\xff\x02^Arh", "Stratis device"),
    (0, b"dmvdo001", "VDO device"),
    (0, (0x70416E53).to_bytes(4, "little"), "dm-snapshot store"),
    (0, b"integrt\0", "dm-integrity device"),
    (32, (27022010).to_bytes(8, "little"), "dm-thin metadata"),
    (32, (1623043).to_bytes(8, "little"), "dm-cache metadata"),
    (32, (2126579579).to_bytes(8, "little"), "dm-era metadata"),
    *(
        (131072 + 1024 * step, (0x00BAB10C).to_bytes(8, order), "ZFS member")
        for step in (0, 5, 127)
        for order in ("little", "big")
    ),
    (SIZE - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00", "Intel RAID member"),
    (SIZE - 512, bytes.fromhex("de11de11"), "DDF RAID member"),
]
"""Where the formats' own documents, or the kernel's headers, have them."""


@pytest.mark.parametrize(("offset", "mark", "name"), MARKS)
def test_a_mark_is_found_at_its_place_alone(offset: int, mark: bytes, name: str) -> None:
    assert names(SIZE, (offset, mark)) == [name]
    assert names(SIZE, (offset + 1 if offset < SIZE - 4096 else offset - 1, mark)) == []


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


def test_marks_are_looked_for_within_the_parts_that_were_read() -> None:
    """What would stand before the part of the end that there is, is not looked for anywhere else."""
    md = bytes.fromhex("fc4e2ba9")
    assert find_signatures(b"", md.ljust(4096, b"\0"), SIZE) == ()
    found = find_signatures(b"", md.ljust(65536, b"\0"), SIZE)
    assert [str(each) for each in found] == [f"md RAID member at byte {SIZE - 65536}"]
    assert (found[0].offset, found[0].length) == (SIZE - 65536, 4)
    assert (HEAD, TAIL) == (262144, 131072)


def test_a_mark_across_the_end_of_what_was_read_is_none() -> None:
    assert find_signatures(b"LABELON", b"", SIZE) == ()
