"""Changes to an image that stays as it is: blocks are copied when first written to, and every change is told."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drystone.formats.pdata.blocks import BLOCK, BlockReader
from drystone.formats.pdata.checksum import checksum_block
from drystone.testing.damage.fields import FIELDS, SALTS, Place, Shape


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes of one metadata block that are others now.

    :ivar block: its number; -1 for the file as a whole. :ivar offset: bytes within it.
    :ivar what: in words. :ivar before: a number, or bytes as hex digits. :ivar after: likewise.
    """

    block: int
    offset: int
    what: str
    before: int | str
    after: int | str


@dataclass(slots=True)
class Draft:
    """An image with changes in mind. Nothing is written anywhere.

    :ivar reader: the sound image. :ivar edits: block number -> its new 4096 bytes. :ivar size: bytes that stay.
    """

    reader: BlockReader
    size: int
    edits: dict[int, bytearray] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def read(self, block: int) -> bytes:
        """The block as it is with the changes so far."""
        if block in self.edits:
            return bytes(self.edits[block])
        return self.reader.read_blocks(np.array([block], dtype=np.uint64)).tobytes()

    def get(self, block: int, place: Place) -> int:
        """The number there."""
        offset, size = place
        return int.from_bytes(self.read(block)[offset : offset + size], "little")

    def get_field(self, block: int, shape: Shape, name: str) -> int:
        """The number in a named field."""
        return self.get(block, FIELDS[shape][name])

    def put(self, block: int, place: Place, value: int, what: str) -> None:
        """Have `value` there; the checksum is left as it is (see `seal`)."""
        offset, size = place
        before = self.get(block, place)
        self._edit(block)[offset : offset + size] = value.to_bytes(size, "little")
        self.changes.append(Change(block, offset, what, before, value))

    def put_field(self, block: int, shape: Shape, name: str, value: int, part: str) -> None:
        """Have `value` in a named field."""
        self.put(block, FIELDS[shape][name], value, f"{part}: {name.replace('_', ' ')}")

    def put_bytes(self, block: int, offset: int, data: bytes, what: str) -> None:
        """Have `data` there. The change tells at most 32 bytes of it."""
        before = self.read(block)[offset : offset + len(data)]
        self._edit(block)[offset : offset + len(data)] = data
        self.changes.append(Change(block, offset, what, _shorten(before), _shorten(data)))

    def seal(self, block: int, shape: Shape) -> None:
        """Put the checksum right."""
        edit = self._edit(block)
        edit[0:4] = checksum_block(bytes(edit), SALTS[shape]).to_bytes(4, "little")

    def cut(self, size: int) -> None:
        """Have the file end after `size` bytes."""
        self.changes.append(Change(-1, size, "the file's size", self.size, size))
        self.size = size

    def _edit(self, block: int) -> bytearray:
        return self.edits.setdefault(block, bytearray(self.read(block)))


def make_draft(reader: BlockReader) -> Draft:
    """A draft without changes."""
    return Draft(reader, reader.size)


def _shorten(data: bytes) -> str:
    return data.hex() if len(data) <= 32 else f"{data[:32].hex()}... ({len(data)} bytes)"


assert BLOCK == 4096, "offsets in `fields` are those of blocks of 4096 bytes"
