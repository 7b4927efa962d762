"""Where every byte of a region is. The format is docs/reference/region-format.md; no offset appears elsewhere."""

from __future__ import annotations

import struct

PAGE = 4096
"""Bytes in a page."""
SECTOR = 512
"""Bytes in a slot: the least that a disk writes whole."""
VERSION = 1
"""The version of the format that this code writes, and the only one that it reads."""

SLOT_MAGIC = b"DVM-SLOT"
SLOT_OFFSETS = (0, 2048)
"""Where the slots are in page 0."""
SLOT_HEAD = struct.Struct("<8sHBBI16s16sQQ")
"""magic, version, state, keep, rolled back, group, region, generation, pages."""
ROOT = struct.Struct("<QQQQ32s32s32s")
"""sequence, length, root page, zero, hash, parent, digest of the root page."""
COMMITTED_AT = SLOT_HEAD.size
NEXT_AT = COMMITTED_AT + ROOT.size
ROLLED_BACK_AT = NEXT_AT + ROOT.size
ROLLED_BACK_KEPT = 4
"""Hashes of rolled back transactions that a slot has room for."""
CHECKSUM = struct.Struct("<I")
CHECKSUM_AT = SECTOR - CHECKSUM.size

PAGE_MAGIC = b"DVM-PAGE"
PAGE_HEAD = struct.Struct("<8sHBBI16sQQ32s16x")
"""magic, version, kind, level, used, group, sequence, first chunk, hash."""
ROOM = PAGE - PAGE_HEAD.size
"""Bytes in a page behind its head: 4000."""
ENTRY = struct.Struct("<Q32s")
"""page, digest."""
ENTRIES = ROOM // ENTRY.size
"""Entries in a table: 100."""
RECORD = struct.Struct("<QQQQ32s32s32s")
"""sequence, length, top table's page, levels, content, parent, digest of the top table."""

DIGEST = 32
"""Bytes in a digest."""
NO_DIGEST = bytes(DIGEST)
LEAST_KEPT = 2
MOST_KEPT = ROOM // RECORD.size
"""Versions that a root page has room for: 31."""
LONGEST_DATA = 64 << 20
"""Bytes that a version may have; it bounds what a reader of hostile bytes allocates."""
MOST_LEVELS = 3
LEAST_PAGES = 8
"""Pages of the smallest region: page 0, and two versions of up to one page with their tables and roots."""
MOST_GENERATION = (1 << 64) - 2
MOST_SEQUENCE = (1 << 64) - 1


def count_chunks(length: int) -> int:
    """Data pages for `length` bytes."""
    return -(-length // ROOM)


def count_levels(length: int) -> int:
    """Levels of tables for `length` bytes: the fewest that hold its chunks."""
    chunks, levels = count_chunks(length), 0
    while chunks > ENTRIES**levels or (chunks and not levels):
        levels += 1
    return levels
