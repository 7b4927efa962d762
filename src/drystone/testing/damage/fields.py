"""Where the numbers are that damage is done to. No other file of this folder knows an offset of a field.

Written down anew and not taken from `formats`, so that the two hold each other to the format: Linux 6.1,
drivers/md/dm-thin-metadata.c, dm-era-target.c and persistent-data/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drystone.formats.pdata.checksum import (
    ARRAY_BLOCK,
    BITMAP,
    BTREE_NODE,
    ERA_SUPERBLOCK,
    INDEX_BLOCK,
    THIN_SUPERBLOCK,
)

Shape = Literal["node", "array", "bitmap", "index", "thin superblock", "era superblock"]
"""What the bytes of a block are laid out as."""

SALTS: dict[Shape, int] = {
    "node": BTREE_NODE,
    "array": ARRAY_BLOCK,
    "bitmap": BITMAP,
    "index": INDEX_BLOCK,
    "thin superblock": THIN_SUPERBLOCK,
    "era superblock": ERA_SUPERBLOCK,
}

Place = tuple[int, int]
"""Offset and size in bytes of a little-endian unsigned number."""

FIELDS: dict[Shape, dict[str, Place]] = {
    "node": {
        "checksum": (0, 4),
        "flags": (4, 4),
        "location": (8, 8),
        "nr_entries": (16, 4),
        "max_entries": (20, 4),
        "value_size": (24, 4),
    },
    "array": {
        "checksum": (0, 4),
        "max_entries": (4, 4),
        "nr_entries": (8, 4),
        "value_size": (12, 4),
        "location": (16, 8),
    },
    "bitmap": {"checksum": (0, 4), "location": (8, 8)},
    "index": {"checksum": (0, 4), "location": (8, 8)},
    "thin superblock": {
        "checksum": (0, 4),
        "flags": (4, 4),
        "location": (8, 8),
        "magic": (32, 8),
        "version": (40, 4),
        "time": (44, 4),
        "transaction_id": (48, 8),
        "metadata_snap": (56, 8),
        "data_nr_blocks": (64, 8),
        "data_nr_allocated": (72, 8),
        "data_bitmap_root": (80, 8),
        "data_ref_count_root": (88, 8),
        "metadata_nr_blocks": (192, 8),
        "metadata_nr_allocated": (200, 8),
        "metadata_bitmap_root": (208, 8),
        "metadata_ref_count_root": (216, 8),
        "mapping_root": (320, 8),
        "details_root": (328, 8),
        "data_block_size": (336, 4),
        "metadata_block_size": (340, 4),
        "incompat_flags": (360, 4),
    },
    "era superblock": {
        "checksum": (0, 4),
        "flags": (4, 4),
        "location": (8, 8),
        "magic": (32, 8),
        "version": (40, 4),
        "metadata_nr_blocks": (44, 8),
        "metadata_nr_allocated": (52, 8),
        "metadata_bitmap_root": (60, 8),
        "metadata_ref_count_root": (68, 8),
        "data_block_size": (172, 4),
        "metadata_block_size": (176, 4),
        "nr_blocks": (180, 4),
        "current_era": (184, 4),
        "current_nr_bits": (188, 4),
        "current_root": (192, 8),
        "writeset_root": (200, 8),
        "array_root": (208, 8),
        "metadata_snap": (216, 8),
    },
}

NODE_HEADER = 32
ARRAY_HEADER = 24
BITMAP_HEADER = 16
INDEX_HEADER = 16

INDEX_ENTRY = 16
"""Bytes: u64 location of a bitmap, u32 free blocks in it, u32 place of the first that may be free."""

INDEX_FREE: Place = (8, 4)
INDEX_FIRST: Place = (12, 4)
"""Within an index entry."""

ENTRIES_A_BITMAP = 16320

RAW_COUNT = (0, 2, 1, 3)
"""A count of 0, 1, 2, more as the two bits of a bitmap, and back: the high bit is stored first."""


@dataclass(frozen=True, slots=True)
class Values:
    """How the values of a tree's leaves are laid out.

    :ivar size: bytes of one. :ivar pointer: offset in it of a block number that leads on, None when it has none.
    """

    size: int
    pointer: int | None = None


POINTER = Values(8, 0)
MAPPING = Values(8)
DETAILS = Values(24)
INDEX_VALUE = Values(INDEX_ENTRY, 0)
COUNT = Values(4)
WRITESET = Values(12, 4)
ERAS = Values(4)
WORDS = Values(8)


def key_place(slot: int) -> Place:
    """The key of an entry of a node."""
    return NODE_HEADER + 8 * slot, 8


def value_place(slot: int, max_entries: int, values: Values) -> Place:
    """The whole value of an entry of a node. Its size may exceed that of a number."""
    return NODE_HEADER + 8 * max_entries + values.size * slot, values.size


def pair_place(entry: int) -> tuple[int, int]:
    """Offset of the byte of a bitmap that holds the two bits of `entry`, and the shift of them in it."""
    return BITMAP_HEADER + entry // 4, 2 * (entry % 4)
