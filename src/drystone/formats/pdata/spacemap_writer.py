"""Writing both kinds of space map. The metadata space map comes last of all blocks: it counts the others and itself.

    data = write_data_space_map(disk, allocator, data_counts)
    metadata = write_metadata_space_map(disk, allocator)
    disk.flush()
    ... write the superblock with both roots, flush again

The last bitmap's places beyond the last block count as free in its index entry, as the kernel reckons it.
Source: persistent-data/dm-space-map-common.c of Linux 6.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.blocks import BLOCK, BlockDisk
from drystone.formats.pdata.btree_writer import TreeWriter
from drystone.formats.pdata.checksum import BITMAP, INDEX_BLOCK, seal_blocks
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.layout import (
    BITMAP_BLOCK,
    COUNT,
    ENTRIES_A_BITMAP,
    INDEX_ENTRY,
    INDEX_RECORD,
)
from drystone.formats.pdata.spacemap import SpaceMapRoot

_BITMAPS_AT_ONCE = 64
_SMALLEST_IN_TREE = 3
"""Counts from here on do not fit two bits."""


def write_data_space_map(disk: BlockDisk, allocator: Allocator, counts: ReferenceCounts) -> SpaceMapRoot:
    """The space map of a data device of counts.nr_blocks blocks. Durable after disk.flush().

    :raises ExhaustedError: the metadata is full.
    """
    bitmaps = -(-counts.nr_blocks // ENTRIES_A_BITMAP)
    index = TreeWriter(disk, allocator, INDEX_ENTRY)
    for begin in range(0, bitmaps, _BITMAPS_AT_ONCE):
        here = np.arange(begin, min(begin + _BITMAPS_AT_ONCE, bitmaps), dtype=np.uint64)
        index.append(here, _write_bitmaps(disk, counts, begin, allocator.allocate(len(here))))
    root = index.finish()
    return SpaceMapRoot(counts.nr_blocks, counts.count_used(), root, _write_counts(disk, allocator, counts))


def write_metadata_space_map(disk: BlockDisk, allocator: Allocator) -> SpaceMapRoot:
    """The space map of the metadata itself: allocator.counts, which is final when this returns. Durable after
    disk.flush().

    :raises ExhaustedError: the metadata is full.
    """
    counts = allocator.counts
    tree = _write_counts(disk, allocator, counts)  # its own blocks count 1 each, and are not in it
    place = allocator.allocate(1)
    bitmaps = allocator.allocate(-(-counts.nr_blocks // ENTRIES_A_BITMAP))
    data = np.zeros((1, BLOCK), dtype=np.uint8)
    index: NDArray[Any] = data.view(INDEX_RECORD).reshape(-1)
    index["blocknr"] = place
    for begin in range(0, len(bitmaps), _BITMAPS_AT_ONCE):
        here = bitmaps[begin : begin + _BITMAPS_AT_ONCE]
        index["entries"][0, begin : begin + len(here)] = _write_bitmaps(disk, counts, begin, here)
    disk.write_blocks(place, seal_blocks(data, INDEX_BLOCK))
    return SpaceMapRoot(counts.nr_blocks, counts.count_used(), int(place[0]), tree)


def _write_bitmaps(disk: BlockDisk, counts: ReferenceCounts, first: int, numbers: NDArray[np.uint64]) -> NDArray[Any]:
    """Write bitmaps from number `first` on to the blocks `numbers`; their index entries."""
    begin = first * ENTRIES_A_BITMAP
    here = counts.get_capped(begin, min(begin + len(numbers) * ENTRIES_A_BITMAP, counts.nr_blocks))
    few = np.zeros(len(numbers) * ENTRIES_A_BITMAP, dtype=np.uint8)
    few[: len(here)] = np.minimum(here, _SMALLEST_IN_TREE)
    data = np.zeros((len(numbers), BLOCK), dtype=np.uint8)
    bitmaps: NDArray[Any] = data.view(BITMAP_BLOCK).reshape(-1)
    bitmaps["blocknr"] = numbers
    bitmaps["bits"] = pack_counts(few).reshape(len(numbers), -1)
    disk.write_blocks(numbers, seal_blocks(data, BITMAP))
    return make_index_entries(numbers, few.reshape(len(numbers), -1))


def pack_counts(few: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Counts, 3 for 3 and more, as the bytes of bitmaps: four to a byte."""
    raw = few >> np.uint8(1) | (few & np.uint8(1)) << np.uint8(1)  # the high bit is stored first
    quads = raw.view("<u4")
    packed: NDArray[np.uint32] = quads | quads >> np.uint32(6) | quads >> np.uint32(12) | quads >> np.uint32(18)
    return packed.astype(np.uint8)


def make_index_entries(numbers: NDArray[np.uint64], few: NDArray[np.uint8]) -> NDArray[Any]:
    """The index entries of bitmaps at the blocks `numbers`, given the counts in each: shape (n, ENTRIES_A_BITMAP)."""
    entries: NDArray[Any] = np.zeros(len(numbers), dtype=INDEX_ENTRY)
    entries["blocknr"] = numbers
    for entry, row in zip(entries, few, strict=True):
        entry["nr_free"] = ENTRIES_A_BITMAP - np.count_nonzero(row)
        entry["none_free_before"] = (row == 0).argmax() if entry["nr_free"] else ENTRIES_A_BITMAP
    return entries


def _write_counts(disk: BlockDisk, allocator: Allocator, counts: ReferenceCounts) -> int:
    """The tree of the counts that do not fit two bits; its root."""
    tree = TreeWriter(disk, allocator, COUNT)
    step = _BITMAPS_AT_ONCE * ENTRIES_A_BITMAP
    for begin in range(0, counts.nr_blocks, step):
        here = counts.get_capped(begin, min(begin + step, counts.nr_blocks))
        places = np.flatnonzero(here >= _SMALLEST_IN_TREE) + begin
        tree.append(places.astype(np.uint64), counts.get_many(places))
    return tree.finish()
