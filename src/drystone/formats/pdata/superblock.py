"""What the superblocks of all kinds of metadata have in common: how they begin, and how one is read and written.

Imports no numpy before a block is written, so that a superblock is read without its start-up.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BLOCK, BlockReader, BlockWriter, count_blocks
from drystone.formats.pdata.checksum import checksum_block
from drystone.formats.pdata.damage import describe_damage

_HEAD = struct.Struct("<IIQ16sQI")
"""csum, flags, location, uuid, magic, version: 44 bytes, little-endian.
Source: dm-thin-metadata.c, dm-era-target.c and dm-cache-metadata.c of Linux 6.1."""


@dataclass(frozen=True, slots=True)
class SuperblockKind:
    """What tells one kind of metadata from the others.

    :ivar name: for messages: `thin`. :ivar magic: at byte 32. :ivar salt: of its checksum.
    :ivar versions: those that are read.
    """

    name: str
    magic: int
    salt: int
    versions: tuple[int, ...]


def check_head(kind: SuperblockKind, block: bytes, location: int, *, sealed: bool = True) -> None:
    """Check length, magic, checksum, own location and version of `block`, which was read at metadata block `location`.

    The magic comes before the checksum, so that a file that is no such metadata at all is said to be that.

    :param sealed: False: the checksum is not looked at.
    :raises DamagedError: the first of them that is wrong.
    """
    if len(block) != BLOCK:
        raise DamagedError(
            f"block {location}: {len(block)} bytes are no superblock, expected {BLOCK}",
            block=location,
            what="length",
            expected=BLOCK,
            found=len(block),
        )
    csum, _, blocknr, _, magic, version = _HEAD.unpack_from(block)
    for what, expected, found in (
        (f"{kind.name} magic", kind.magic, magic),
        ("superblock checksum", checksum_block(block, kind.salt) if sealed else csum, csum),
        ("superblock location", location, blocknr),
    ):
        if found != expected:
            raise describe_damage(location, what, expected=expected, found=found)
    if version not in kind.versions:
        due = kind.versions[0] if len(kind.versions) == 1 else " or ".join(map(str, kind.versions))
        raise describe_damage(location, "superblock version", expected=due, found=version)


def read_superblock_block(reader: BlockReader, location: int) -> bytes:
    """The 4096 bytes at metadata block `location`, whatever they are.

    :raises DamagedError: there is no such block. :raises OSError: the device failed.
    """
    limit = count_blocks(reader)
    if not limit:
        raise describe_damage(0, "size", expected=f"{BLOCK} bytes or more", found=reader.size)
    if not 0 <= location < limit:
        raise describe_damage(location, "superblock location", expected=f"below {limit}", found=location)
    return bytes(reader.read_bytes([location]))


def write_superblock_block(disk: BlockWriter, location: int, block: bytes) -> None:
    """Write the 4096 bytes of a superblock, after all that was written before is durable; durable when it returns.

    :raises OSError: the device failed.
    """
    disk.flush()
    _put(disk, location, block)


def clear_superblock_block(disk: BlockWriter) -> None:
    """Write zeros over the live superblock, before anything else is written: what was on `disk` is no metadata from
    here on. Durable when it returns.

    :raises OSError: the device failed.
    """
    _put(disk, 0, bytes(BLOCK))


def _put(disk: BlockWriter, location: int, block: bytes) -> None:
    import numpy as np

    disk.write_blocks(np.array([location], dtype=np.uint64), np.frombuffer(block, dtype=np.uint8).reshape(1, BLOCK))
    disk.flush()
