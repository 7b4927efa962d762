"""Packs: many records in one object. Layout in docs/reference/backup-format.md, Packs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.codec import Codec, decompress
from drystone.backup.format.digest import digest
from drystone.base.errors import DamagedError, UnsupportedError

VERSION = 1
LARGEST_PACK = 1 << 30
"""Bytes: offsets in a pack are u32, and a reader may hold a whole one."""
LARGEST_PLAIN = 16 << 20
"""Bytes of a record's plain content: four times the largest chunk, and more than the largest map segment."""

_MAGIC = b"DRYPACK\n"
_END = b"DRYPEND\n"
_HEADER = struct.Struct("<8sII16s")
_HEAD = struct.Struct("<IIIBBH32s")
_TRAILER = struct.Struct("<IIII8s")
HEADER = _HEADER.size
"""Bytes of a pack before its first record: 32."""
HEAD = _HEAD.size
"""Bytes of a record before its payload: 48."""
TRAILER = _TRAILER.size

INDEX = np.dtype(
    [
        ("digest", "V32"),
        ("offset", "<u4"),
        ("length", "<u4"),
        ("plain", "<u4"),
        ("kind", "u1"),
        ("codec", "u1"),
        ("zero", "<u2"),
    ]
)


class Kind(IntEnum):
    """What a record holds."""

    CHUNK = 1
    SEGMENT = 2


@dataclass(frozen=True, slots=True)
class Record:
    """A record ready for a pack: head and payload apart, so that the payload is copied once."""

    kind: Kind
    codec: Codec
    digest: bytes
    plain_length: int
    head: bytes
    payload: bytes | memoryview

    def __len__(self) -> int:
        """Bytes that it takes in the pack."""
        return HEAD + len(self.payload)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is: pack id, offset and length in bytes, its head included."""

    pack: bytes
    offset: int
    length: int


def make_record(kind: Kind, codec: Codec, name: bytes, payload: bytes | memoryview, plain_length: int) -> Record:
    """A record of the plain bytes whose digest is `name`; the CRC is counted here, where threads are."""
    rest = _HEAD.pack(0, len(payload), plain_length, kind, codec, 0, name)[4:]
    crc = google_crc32c.extend(google_crc32c.value(rest), readable(payload))
    return Record(kind, codec, name, plain_length, struct.pack("<I", crc) + rest, payload)


def readable(data: bytes | memoryview) -> bytes | NDArray[np.uint8]:
    """`data` as the CRC library takes it: read-only, without a copy."""
    if isinstance(data, bytes):
        return data
    view = np.frombuffer(data, dtype=np.uint8)
    view.flags.writeable = False
    return view


class PackBuilder:
    """A pack that is being filled, in memory: `size` bytes are wanted, and the last record may go beyond."""

    def __init__(self, pack: bytes, size: int) -> None:
        self.pack = pack
        self._size = size
        self._parts = bytearray(_HEADER.pack(_MAGIC, VERSION, 0, pack))
        self._index: list[tuple[bytes, int, int, int, int, int, int]] = []

    @property
    def full(self) -> bool:
        """Whether it has the size that is wanted."""
        return len(self._parts) >= self._size

    def add(self, record: Record) -> Place:
        """Append a record; where it is."""
        offset = len(self._parts)
        self._parts += record.head
        self._parts += record.payload
        self._index.append((record.digest, offset, len(record), record.plain_length, record.kind, record.codec, 0))
        return Place(self.pack, offset, len(record))

    def finish(self) -> bytearray:
        """The whole object."""
        at = len(self._parts)
        index = np.array(self._index, dtype=INDEX).tobytes()
        front = struct.pack("<III", len(self._index), google_crc32c.value(index), at)
        own = google_crc32c.value(bytes(self._parts[: _HEADER.size]) + front)
        self._parts += index
        self._parts += front + struct.pack("<I8s", own, _END)
        return self._parts


def parse_record(data: memoryview, kind: Kind, name: bytes | None) -> bytes | memoryview:
    """The plain bytes of the one record that `data` is, checked by CRC and by digest; `name` None takes any digest.

    :raises DamagedError: it is not the record of that kind and digest, or not whole.
    """
    if len(data) < HEAD:
        raise DamagedError(f"a record of {len(data)} bytes has no head")
    crc, length, plain_length, its_kind, codec, _, its_name = _HEAD.unpack_from(data)
    if length != len(data) - HEAD or plain_length > LARGEST_PLAIN:
        raise DamagedError(f"a record's head tells {length} bytes where {len(data) - HEAD} are")
    if google_crc32c.value(readable(data[4:])) != crc:
        raise DamagedError("a record's checksum is wrong")
    if its_kind != kind or its_name != (name or its_name):
        raise DamagedError(f"a record of kind {its_kind} with digest {its_name.hex()[:16]} is where another should be")
    plain = decompress(codec, data[HEAD:], plain_length)
    if digest(plain) != its_name:
        raise DamagedError("a record's bytes do not have its digest")
    return plain


def parse_header(data: bytes, pack: bytes) -> None:
    """Check the first 32 bytes of a pack.

    :raises DamagedError: they are not of pack `pack`. :raises UnsupportedError: a newer version, or encrypted.
    """
    if len(data) != _HEADER.size:
        raise DamagedError(f"pack {pack.hex()} has no header")
    magic, version, encryption, its_pack = _HEADER.unpack(data)
    if magic != _MAGIC:
        raise DamagedError(f"pack {pack.hex()} does not begin as a pack does")
    if version > VERSION or encryption:
        raise UnsupportedError(
            f"pack {pack.hex()} is of version {version}, encryption {encryption}; this program reads version {VERSION}",
            hint="use a newer drystone",
        )
    if its_pack != pack:
        raise DamagedError(f"pack {pack.hex()} says that it is pack {its_pack.hex()}")


def parse_index(header: bytes, end: bytes, size: int, pack: bytes) -> NDArray[np.void]:
    """The index (dtype INDEX) of a pack of `size` bytes from its header and its last bytes.

    `end` holds the index and the trailer; its length is what `index_length` gave.

    :raises DamagedError: wrong sums, or entries outside the pack. :raises UnsupportedError: as `parse_header` does.
    """
    count, crc, at, own, _ = _TRAILER.unpack_from(end, len(end) - TRAILER)
    index = end[: len(end) - TRAILER]
    # Before the version: a flipped bit of the header is not taken for a newer one.
    if google_crc32c.value(header + struct.pack("<III", count, crc, at)) != own:
        raise DamagedError(f"the header or the trailer of pack {pack.hex()} is wrong")
    parse_header(header, pack)
    if google_crc32c.value(index) != crc or at + len(end) != size:
        raise DamagedError(f"the index of pack {pack.hex()} is wrong")
    entries: NDArray[np.void] = np.frombuffer(index, dtype=INDEX)
    ends = entries["offset"].astype(np.uint64) + entries["length"]
    if len(entries) and (entries["offset"].min() < _HEADER.size or ends.max() > at):
        raise DamagedError(f"the index of pack {pack.hex()} points outside it")
    return entries


def index_length(trailer: bytes, size: int, pack: bytes) -> int:
    """Bytes of index and trailer, from the last TRAILER bytes of a pack of `size` bytes.

    :raises DamagedError: it is no trailer, or tells more than the pack has.
    """
    if len(trailer) == TRAILER:
        count, _, _, _, magic = _TRAILER.unpack(trailer)
        length: int = count * INDEX.itemsize + TRAILER
        if magic == _END and length + _HEADER.size <= size:
            return length
    raise DamagedError(f"pack {pack.hex()} does not end as a pack does")
