"""Checksums of metadata blocks: CRC-32C over bytes 4 to 4095, xored with a salt that tells the block's kind.

The kernel's crc32c starts from ~0 and leaves out the final inversion, so the usual CRC-32C is inverted back.
Source: dm_bm_checksum in persistent-data/dm-block-manager.c of Linux 6.1, and the salts beside each validator.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.native import sum_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THIN_SUPERBLOCK = 160774
ERA_SUPERBLOCK = 146538381
CACHE_SUPERBLOCK = 9031977
BTREE_NODE = 121107
ARRAY_BLOCK = 595846735
BITMAP = 240779
INDEX_BLOCK = 160478

SALTS = {
    "thin superblock": THIN_SUPERBLOCK,
    "era superblock": ERA_SUPERBLOCK,
    "cache superblock": CACHE_SUPERBLOCK,
    "btree node": BTREE_NODE,
    "array block": ARRAY_BLOCK,
    "space map bitmap": BITMAP,
    "space map index": INDEX_BLOCK,
}
"""Kind of block -> salt: any block of persistent-data is told from the others by it."""


def checksum_block(block: bytes, salt: int) -> int:
    """The checksum that belongs at offset 0 (u32, little-endian) of the 4096 bytes `block`."""
    return int.from_bytes(sum_blocks(block[:BLOCK], salt), sys.byteorder)


def checksum_blocks(blocks: NDArray[np.uint8], salt: int) -> NDArray[np.uint32]:
    """The checksums of `blocks`, shape (n, 4096), as an array of n."""
    import numpy as np

    return np.frombuffer(sum_blocks(np.ascontiguousarray(blocks), salt), dtype=np.uint32)


def seal_blocks(blocks: NDArray[np.uint8], salt: int) -> NDArray[np.uint8]:
    """Write their checksums into the heads of `blocks`, shape (n, 4096); the same array."""
    blocks[:, :4] = checksum_blocks(blocks, salt).astype("<u4").view("u1").reshape(-1, 4)
    return blocks


def seal_block(block: bytes, salt: int) -> bytes:
    """The 4096 bytes `block` with its checksum at its head: a superblock that is to be written."""
    return checksum_block(block, salt).to_bytes(4, "little") + block[4:BLOCK]


def identify_block(block: bytes) -> str | None:
    """The kind of block (a key of SALTS) whose checksum is at the head of `block`; None when it is none."""
    salt = int.from_bytes(block[:4], "little") ^ checksum_block(block, 0)
    return next((kind for kind, known in SALTS.items() if known == salt), None)
