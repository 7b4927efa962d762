"""Roots of space maps, which count the references of each block: what the superblock holds of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ROOT = struct.Struct("<QQQQ")
"""disk_sm_root: nr_blocks, nr_allocated, bitmap_root, ref_count_root. In 128 bytes of the superblock, the rest zero.
Source: persistent-data/dm-space-map-common.h of Linux 6.1."""


METADATA_MAP = "metadata space map"
DATA_MAP = "data space map"
"""What messages call the two."""


@dataclass(frozen=True, slots=True)
class SpaceMapRoot:
    """Where a space map is, and its counts, in blocks. All zero in a metadata snapshot, which holds none."""

    nr_blocks: int
    nr_allocated: int
    bitmap_root: int
    """Metadata block: the index block (metadata space map) or the root of a btree of index entries (data)."""
    ref_count_root: int
    """Metadata block: root of the btree of counts that do not fit two bits."""

    @property
    def nr_free(self) -> int:
        """Blocks in no use; never below 0, also when the counts are wrong."""
        return max(self.nr_blocks - self.nr_allocated, 0)


def parse_space_map_root(data: bytes) -> SpaceMapRoot:
    """The root out of the first 32 bytes of `data`."""
    return SpaceMapRoot(*ROOT.unpack_from(data))


def pack_space_map_root(root: SpaceMapRoot) -> bytes:
    """The 128 bytes of the superblock that hold `root`."""
    return ROOT.pack(root.nr_blocks, root.nr_allocated, root.bitmap_root, root.ref_count_root).ljust(128, b"\0")
