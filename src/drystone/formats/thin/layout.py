"""Where the bytes of dm-thin metadata are: the superblock's fields and the values in the trees.

Little-endian and packed throughout. Source: drivers/md/dm-thin-metadata.c of Linux 6.1.
"""

from __future__ import annotations

import struct

MAGIC = 27022010
VERSIONS = (1, 2)
"""The kernel writes 2; 1 is its older form with the same fields."""

SUPERBLOCK = struct.Struct("<IIQ16sQIIQQ128s128sQQIIQIII")
"""csum, flags, blocknr, uuid, magic, version, time, transaction id, held root, data space map root, metadata space
map root, data mapping root, device details root, data block size (sectors), metadata block size (sectors), metadata
blocks, compatible, compatible for reading, incompatible feature flags. 364 bytes; the rest of the block is zero."""

NEEDS_CHECK = 1
"""Flag of the superblock: the kernel wants the metadata checked before it writes again."""

METADATA_BLOCK_SECTORS = 8
SMALLEST_DATA_BLOCK = 128
LARGEST_DATA_BLOCK = 2097152
"""Sectors: 64 KiB to 1 GiB, and a multiple of 64 KiB."""

TIME_BITS = 24
"""A mapping is data_block << 24 | time."""

LARGEST_TIME = (1 << 32) - 1
"""What the fields of a time hold; a time that a mapping can have is below 1 << TIME_BITS."""

LARGEST_DEVICE_ID = (1 << 24) - 1

DETAILS_VALUE = struct.Struct("<QQII")
"""A value in the device details tree: mapped blocks, transaction id, creation time, snapshotted time."""

DETAILS = [
    ("mapped_blocks", "<u8"),
    ("transaction_id", "<u8"),
    ("creation_time", "<u4"),
    ("snapshotted_time", "<u4"),
]
"""The same, 24 bytes, as numpy spells a dtype."""
