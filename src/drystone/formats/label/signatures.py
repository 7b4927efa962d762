"""What others leave on a device to know it by: file systems, volume managers, partition tables.

Magic bytes and places are facts of those formats, as their specifications and the kernel's headers have them
(`include/uapi/linux/magic.h`, `fs/*`, `drivers/md`, UEFI for GPT). A match of the bytes is enough: the question is
whether somebody may miss what is there, and a doubt is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from drystone.base.sizes import SECTOR

HEAD = 256 << 10
"""Bytes at the beginning of a device in which something may stand."""
TAIL = 128 << 10
"""Bytes at its end, likewise."""

_MD = bytes.fromhex("fc4e2ba9")
_BCACHE = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
_BCACHEFS = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")


class Signature(Struct, frozen=True):
    """Somebody's mark: whose, and the bytes [offset, offset + length) of the device that are it."""

    name: str
    offset: int
    length: int

    def __str__(self) -> str:
        return f"{self.name} at byte {self.offset}"


class _Magic(Struct, frozen=True):
    name: str
    offset: int
    data: bytes


_FROM_BEGIN = (
    *(_Magic("LVM2 physical volume", sector * SECTOR, b"LABELONE") for sector in range(4)),
    _Magic("LVM1 physical volume", 0, b"HM\x01\x00"),
    _Magic("md RAID member", 0, _MD),
    _Magic("md RAID member", 4096, _MD),
    _Magic("GPT partition table", SECTOR, b"EFI PART"),
    _Magic("GPT partition table", 4096, b"EFI PART"),
    _Magic("DOS partition table or boot sector", 510, b"\x55\xaa"),
    _Magic("ext2, ext3 or ext4 file system", 1080, b"\x53\xef"),
    _Magic("XFS file system", 0, b"XFSB"),
    _Magic("btrfs file system", 65536 + 64, b"_BHRfS_M"),
    _Magic("bcachefs file system", 4096 + 24, _BCACHEFS),
    _Magic("bcache device", 4096 + 24, _BCACHE),
    _Magic("F2FS file system", 1024, bytes.fromhex("1020f5f2")),
    _Magic("EROFS file system", 1024, bytes.fromhex("e2e1f5e0")),
    _Magic("squashfs file system", 0, b"hsqs"),
    _Magic("NTFS file system", 3, b"NTFS    "),
    _Magic("exFAT file system", 3, b"EXFAT   "),
    _Magic("FAT file system", 54, b"FAT"),
    _Magic("FAT file system", 82, b"FAT32   "),
    _Magic("ISO 9660 file system", 32769, b"CD001"),
    _Magic("UDF file system", 32769, b"BEA01"),
    _Magic("JFS file system", 32768, b"JFS1"),
    _Magic("ReiserFS file system", 65536 + 52, b"ReIsEr"),
    _Magic("NILFS2 file system", 1030, b"\x34\x34"),
    _Magic("GFS2 file system", 65536, bytes.fromhex("01161970")),
    *(_Magic("OCFS2 file system", block, b"OCFSV2") for block in (1024, 2048, 4096, 8192)),
    _Magic("APFS container", 32, b"NXSB"),
    *(_Magic("swap space", page - 10, mark) for page in (4096, 65536) for mark in (b"SWAPSPACE2", b"SWAP-SPACE")),
    _Magic("LUKS encrypted device", 0, b"LUKS\xba\xbe"),
    *(_Magic("LUKS encrypted device", 16384 << shift, b"SKUL\xba\xbe") for shift in range(4)),
    _Magic("Ceph BlueStore device", 0, b"bluestore block device"),
    _Magic("Stratis device", SECTOR + 4, b"!Stra0tis\x86\xff\x02^\x41rh"),
    _Magic("VDO device", 0, b"dmvdo001"),
    _Magic("dm-snapshot store", 0, b"SnAp"),
    _Magic("dm-integrity device", 0, b"integrt\0"),
    _Magic("dm-thin metadata", 32, (27022010).to_bytes(8, "little")),
    _Magic("dm-cache metadata", 32, (0o6142003).to_bytes(8, "little")),
    _Magic("dm-era metadata", 32, (2126579579).to_bytes(8, "little")),
    *(
        _Magic("ZFS member", 131072 + step * 1024, magic)
        for step in range(128)
        for magic in (bytes.fromhex("0cb1ba0000000000"), bytes.fromhex("0000000000bab10c"))
    ),
)


def find_signatures(head: bytes, tail: bytes, size: int) -> tuple[Signature, ...]:
    """Every mark of others on a device of `size` bytes, in the order of their places.

    :param head: its first HEAD bytes, or all when it is smaller. :param tail: its last TAIL bytes, likewise.
    """
    begin = max(size - len(tail), 0)
    found: dict[tuple[int, str], Signature] = {}
    for each in _FROM_BEGIN:
        if head.startswith(each.data, each.offset):
            found[each.offset, each.name] = Signature(each.name, each.offset, len(each.data))
    for each in _from_end(size):
        if each.offset >= begin and tail.startswith(each.data, each.offset - begin):
            found[each.offset, each.name] = Signature(each.name, each.offset, len(each.data))
    return tuple(found[key] for key in sorted(found))


def _from_end(size: int) -> Iterator[_Magic]:
    """What stands at a distance from the end of a device of `size` bytes."""
    if size < 4 * SECTOR:
        return
    for sector in (SECTOR, 4096):
        yield _Magic("GPT partition table", size // sector * sector - sector, b"EFI PART")
    yield _Magic("md RAID member", (size // 65536 * 65536) - 65536, _MD)
    yield _Magic("md RAID member", ((size // SECTOR - 16) & ~7) * SECTOR, _MD)
    yield _Magic("Intel RAID member", size - 2 * SECTOR, b"Intel Raid ISM Cfg Sig. ")
    yield _Magic("DDF RAID member", size - SECTOR, bytes.fromhex("de11de11"))
