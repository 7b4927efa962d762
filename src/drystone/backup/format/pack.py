"""Packs: many records in one object. Layout in docs/reference/backup-format.md, Packs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.cipher import TAG, Keyring, Opener, record_nonce
from drystone.backup.format.codec import Codec, decompress
from drystone.backup.format.digest import Hasher
from drystone.base.errors import DamagedError, UnsupportedError

VERSION = 2
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

Data = bytes | memoryview
Append = Callable[[Data], None]

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
    OLD_SEGMENT = 2
    """Of version 1: its digest is that of its plain bytes."""
    SEGMENT = 3
    """Its digest is the segment digest, which its reader checks."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record ready for a pack. `crc` is counted already where the record is not going to be encrypted."""

    kind: Kind
    codec: Codec
    digest: bytes
    plain_length: int
    payload: bytes | memoryview
    crc: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is: pack id, offset and length in bytes, its head included."""

    pack: bytes
    offset: int
    length: int


def check_places(
    packs: int, pack: NDArray[np.uint32], offset: NDArray[np.uint32], length: NDArray[np.uint32], what: str
) -> None:
    """See that places can be places: `pack` counts in a list of so many `packs`, offset and length are bytes.

    :raises DamagedError: one can be none; `what` names what refers to it.
    """
    if not len(pack):
        return
    if pack.max() >= packs or length.min() <= HEAD:
        raise DamagedError(f"{what} refers to a pack or a length that is none")
    if offset.min() < HEADER or (offset.astype(np.uint64) + length).max() > LARGEST_PACK:
        raise DamagedError(f"{what} refers to a place outside its pack")


def make_record(
    kind: Kind, codec: Codec, name: bytes, payload: bytes | memoryview, plain_length: int, *, encrypted: bool = False
) -> Record:
    """A record of the plain bytes whose digest is `name`; the CRC is counted here, where threads are."""
    if encrypted:
        return Record(kind, codec, name, plain_length, payload)
    rest = _HEAD.pack(0, len(payload), plain_length, kind, codec, 0, name)[4:]
    crc = google_crc32c.extend(google_crc32c.value(rest), readable(payload))
    return Record(kind, codec, name, plain_length, payload, crc)


def readable(data: bytes | memoryview) -> bytes | NDArray[np.uint8]:
    """`data` as the CRC library takes it: read-only, without a copy."""
    if isinstance(data, bytes):
        return data
    view = np.frombuffer(data, dtype=np.uint8)
    view.flags.writeable = False
    return view


class PackBuilder:
    """A pack that is being filled: `size` bytes are wanted, and the last record may go beyond.

    :param ring: its records are encrypted. :param append: takes the bytes of the pack in order, which are the caller's
        own again when it returns; None: they are kept, for `finish`.
    """

    def __init__(self, pack: bytes, size: int, ring: Keyring | None = None, append: Append | None = None) -> None:
        self.pack = pack
        self._size = size
        self._cipher = None if ring is None else ring.pack_cipher(pack)
        self._header = _HEADER.pack(_MAGIC, VERSION, 0 if ring is None else 1, pack)
        self._whole = bytearray()
        self._append = append
        self._add(self._header)
        self._length = len(self._header)
        self._index: list[tuple[bytes, int, int, int, int, int, int]] = []

    @property
    def full(self) -> bool:
        """Whether it has the size that is wanted."""
        return self._length >= self._size

    def add(self, record: Record) -> Place:
        """Append a record; where it is."""
        offset = self._length
        assert (record.crc is None) == (self._cipher is not None), "a record is made for packs of one kind"
        payload, crc = record.payload, record.crc or 0
        length = len(payload) + (0 if self._cipher is None else TAG)
        head = _HEAD.pack(crc, length, record.plain_length, record.kind, record.codec, 0, record.digest)
        if self._cipher is not None:
            payload = self._cipher.encrypt(record_nonce(offset), payload, head[4:])
            crc = google_crc32c.extend(google_crc32c.value(head[4:]), payload)
            head = struct.pack("<I", crc) + head[4:]
        self._add(head)
        self._add(payload)
        length += HEAD
        self._length += length
        self._index.append((record.digest, offset, length, record.plain_length, record.kind, record.codec, 0))
        return Place(self.pack, offset, length)

    def finish(self) -> bytearray:
        """Append index and trailer; the whole object where it was kept."""
        index = np.array(self._index, dtype=INDEX).tobytes()
        front = struct.pack("<III", len(self._index), google_crc32c.value(index), self._length)
        own = google_crc32c.value(self._header + front)
        self._add(index)
        self._add(front + struct.pack("<I8s", own, _END))
        return self._whole

    def _add(self, data: Data) -> None:
        # A method that were kept as `append` would lead back here, and a pack in a cycle stays until garbage is looked
        # for: long after it was put.
        if self._append is None:
            self._whole += data
        else:
            self._append(data)


def parse_record(
    data: memoryview, kind: Kind, name: bytes | None, hasher: Hasher, opener: Opener | None = None
) -> bytes | memoryview:
    """The plain bytes of the one record that `data` is, checked by CRC, tag and digest; `name` None takes any digest.

    Of a map segment the digest is not checked against the bytes: its reader does that, by the leaves.

    :param opener: decrypts the payload; None where nothing is encrypted.
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
    payload: bytes | memoryview = data[HEAD:]
    if opener is not None:
        payload = opener(data[:HEAD], payload)
    plain = decompress(codec, memoryview(payload), plain_length)
    if kind is not Kind.SEGMENT and hasher.digest(plain) != its_name:
        raise DamagedError("a record's bytes do not have its digest")
    return plain


def parse_header(data: bytes, pack: bytes) -> None:
    """Check the first 32 bytes of a pack.

    :raises DamagedError: they are not of pack `pack`. :raises UnsupportedError: a newer version, or another encryption.
    """
    if len(data) != _HEADER.size:
        raise DamagedError(f"pack {pack.hex()} has no header")
    magic, version, encryption, its_pack = _HEADER.unpack(data)
    if magic != _MAGIC:
        raise DamagedError(f"pack {pack.hex()} does not begin as a pack does")
    if version > VERSION or encryption > (version == VERSION):
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
