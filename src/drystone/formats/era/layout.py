"""Where the bytes of dm-era metadata are: the superblock's fields and the values in the trees.

Little-endian and packed throughout. Source: drivers/md/dm-era-target.c of Linux 6.1.
"""

from __future__ import annotations

import struct

MAGIC = 2126579579
VERSION = 1

SUPERBLOCK = struct.Struct("<IIQ16sQI128sIIIIIQQQQ")
"""csum, flags, blocknr, uuid, magic, version, metadata space map root, data block size (sectors), metadata block size
(sectors), data blocks, current era, bits and root of the current writeset, roots of the writeset tree and of the era
array, metadata snapshot. 224 bytes; the rest of the block is zero. The kernel writes 0 as flags and does not look;
thin-provisioning-tools 1.x write 1."""

METADATA_BLOCK_SECTORS = 8
DATA_BLOCK_UNIT = 8
"""Sectors: a data block is a multiple of 4 KiB."""

LARGEST_DATA_BLOCK = (1 << 32) - 1
MOST_DATA_BLOCKS = (1 << 31) - 1
LARGEST_ERA = (1 << 32) - 1
MOST_BITS = (1 << 32) - 1
"""Bits of a writeset: their number is 32 bits wide."""

WRITESET_VALUE = struct.Struct("<IQ")
"""A value in the writeset tree: bits, and the root of the bitset."""

WRITESET = [("nr_bits", "<u4"), ("root", "<u8")]
"""The same, 12 bytes packed, as numpy spells a dtype."""

ERA_SIZE = 4
WORD_SIZE = 8
"""Bytes of an entry of the era array, and of a bitset."""

BITS_A_LEAF = 509 * 64
"""Bits of a block of a bitset."""

LEAVES_A_STEP = 8
"""Blocks of each bitset that are read in one step: 260,608 data blocks, 1 MiB of the era array."""

STEP = BITS_A_LEAF * LEAVES_A_STEP
"""Data blocks in one step."""

ARRAY_LEAVES_A_STEP = 32 * LEAVES_A_STEP
"""Blocks of the era array in one step."""
