"""A thin metadata image that a test changes field by field; checksums are put right after each change."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import BITMAP, BTREE_NODE, INDEX_BLOCK
from drystone.formats.pdata.layout import count_max_entries
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.superblock import Superblock, pack_superblock, parse_superblock
from drystone.testing.thin_metadata import seal_block

_HEADER = 32
_RAW_COUNT = (0, 2, 1, 3)


class ThinImage:
    """Bytes of thin metadata, to be changed.

    :ivar data: what they are now.
    """

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    @property
    def superblock(self) -> Superblock:
        """The live one, as it is now."""
        return parse_superblock(bytes(self.data[:BLOCK]))

    @property
    def reader(self) -> MemoryBlocks:
        """A reader of the bytes as they are now."""
        return MemoryBlocks(bytes(self.data))

    def put_superblock(self, **fields: Any) -> None:
        """Change fields of the live superblock."""
        self.data[:BLOCK] = pack_superblock(replace(self.superblock, **fields))

    def put(self, block: int, offset: int, form: str, value: int, *, salt: int | None = BTREE_NODE) -> None:
        """Write a number, `form` as of struct, at `offset` of a block; `salt` None leaves the checksum wrong."""
        struct.pack_into(form, self.data, block * BLOCK + offset, value)
        if salt is not None:
            place = slice(block * BLOCK, (block + 1) * BLOCK)
            self.data[place] = seal_block(bytes(self.data[place]), salt)

    def spoil(self, block: int) -> None:
        """Make a block's checksum wrong."""
        self.data[block * BLOCK + 2000] ^= 1
        self.data[block * BLOCK] ^= 1

    def put_key(self, block: int, place: int, key: int) -> None:
        """Change a key of a node."""
        self.put(block, _HEADER + 8 * place, "<Q", key)

    def put_value(self, block: int, place: int, value: int, *, offset: int = 0, value_size: int = 8) -> None:
        """Change 8 bytes of a value of a node, from byte `offset` of the value on."""
        self.put(block, _HEADER + 8 * count_max_entries(value_size) + value_size * place + offset, "<Q", value)

    def put_count_of_entries(self, block: int, count: int) -> None:
        """Change how many entries a node says it has."""
        self.put(block, 16, "<I", count)

    def get_value(self, block: int, place: int, *, value_size: int = 8) -> int:
        """The first 8 bytes of a value of a node."""
        at = block * BLOCK + _HEADER + 8 * count_max_entries(value_size) + value_size * place
        value: int = struct.unpack_from("<Q", self.data, at)[0]
        return value

    def get_root(self, dev_id: int) -> int:
        """Block of the root of a device's mappings."""
        return read_mapping_roots(self.reader, self.superblock)[dev_id]

    def get_metadata_bitmap(self) -> int:
        """Block of the first bitmap of the metadata space map."""
        at = self.superblock.metadata_space_map.bitmap_root * BLOCK + 16
        block: int = struct.unpack_from("<Q", self.data, at)[0]
        return block

    def get_data_bitmap(self) -> int:
        """Block of the first bitmap of the data space map."""
        return self.get_value(self.superblock.data_space_map.bitmap_root, 0, value_size=16)

    def put_reference_count(self, bitmap: int, place: int, count: int) -> None:
        """Change a count, 0 to 3, in a bitmap; sums are left as they are."""
        offset, shift = 16 + place // 4, 2 * (place % 4)
        old = self.data[bitmap * BLOCK + offset]
        self.put(bitmap, offset, "<B", old & ~(3 << shift) | _RAW_COUNT[count] << shift, salt=BITMAP)

    def put_metadata_index(self, *, nr_free: int | None = None, none_free_before: int | None = None) -> None:
        """Change the sums of the first bitmap of the metadata space map."""
        index = self.superblock.metadata_space_map.bitmap_root
        for offset, value in ((24, nr_free), (28, none_free_before)):
            if value is not None:
                self.put(index, offset, "<I", value, salt=INDEX_BLOCK)
