"""How much fits a block and where it begins: what is known of nodes, array blocks and bitmaps without numpy.

Little-endian and packed. layout.py has the same blocks as numpy records.
Source: dm-btree-internal.h, dm-array.c, dm-space-map-common.h of persistent-data, Linux 6.1.
"""

from __future__ import annotations

import struct

from drystone.formats.pdata.blocks import BLOCK

INTERNAL = 1
LEAF = 2
"""The two kinds of node, as its flags tell them; a node has one of the two."""

NODE_HEADER = struct.Struct("<IIQIII4x")
"""csum, flags, location, entries, places for entries, bytes of a value: 32 bytes."""

KEY_SIZE = 8

ARRAY_HEADER_SIZE = 24

ENTRIES_A_BITMAP = 16320
"""Blocks whose counts are in one bitmap: two bits each in what the header leaves of a block."""

BITMAP_HEADER = struct.Struct("<IIQ")
"""csum, not used, location; an index block begins alike."""

INDEX_VALUE = struct.Struct("<QII")
"""An index entry: where a bitmap is, how many of its entries are 0, and an entry before which none is 0."""

MOST_BITMAPS = 255
"""Index entries in an index block: the most bitmaps of a metadata space map."""

RAW_COUNTS = (0, 2, 1, 3)
"""Two bits of a bitmap -> count, 3 meaning 3 or more; and a count -> its bits. The high bit is stored first."""

WORD_BITS = 64
"""Bits in a word of a bitset, the lowest first."""


def count_max_entries(value_size: int) -> int:
    """How many entries fit a node with values of `value_size` bytes: a multiple of 3, as the kernel reckons it."""
    return 3 * ((BLOCK - NODE_HEADER.size) // (KEY_SIZE + value_size) // 3)


def count_array_entries(value_size: int) -> int:
    """How many entries fit an array block with values of `value_size` bytes."""
    return (BLOCK - ARRAY_HEADER_SIZE) // value_size
