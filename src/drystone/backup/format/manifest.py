"""Manifests: one a backup, complete by itself (docs/reference/backup-format.md, Manifests)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.digest import DIGEST, NOTHING, Hasher, checksum
from drystone.backup.format.keys import PACK_ID
from drystone.backup.format.pack import Place, check_places
from drystone.backup.format.segment import LARGEST_SLOTS
from drystone.base.errors import DamagedError, UnsupportedError, UsageError

VERSION = 1
SMALLEST_CHUNK = 64 << 10
LARGEST_CHUNK = 4 << 20
LARGEST_IMAGE = 1 << 62
MOST_SEGMENTS = 1 << 21
"""128 TiB in chunks of 64 KiB, 2 PiB in chunks of 1 MiB; and a reader's work stays bounded."""

_MAGIC = b"DRYMANI\n"
_FRONT = struct.Struct("<8sIIII")

SEGMENTS = np.dtype([("number", "<u4"), ("digest", "V32"), ("pack", "<u4"), ("offset", "<u4"), ("length", "<u4")])
PACKS = np.dtype([("id", "V16"), ("references", "<u8"), ("bytes", "<u8"), ("zero", "<u8")])


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a backup. Sizes in bytes; `stored` is what this backup added to the store."""

    backup: str
    volume: str
    parent: str
    created: str
    source: str
    size: int
    chunk_size: int
    segment_slots: int
    root: str
    chunks: int
    read: int
    stored: int
    about: dict[str, str]


@dataclass(frozen=True, slots=True)
class Shape:
    """How an image is cut: bytes, bytes a chunk, chunks a segment."""

    size: int
    chunk_size: int
    slots: int

    @property
    def chunks(self) -> int:
        """Chunks of the image."""
        return -(-self.size // self.chunk_size)

    @property
    def segments(self) -> int:
        """Segments of the image."""
        return -(-self.chunks // self.slots)

    def slots_of(self, number: int) -> int:
        """Slots of a segment: the last one has what is left."""
        return min(self.slots, self.chunks - number * self.slots)

    def length_of(self, chunk: int) -> int:
        """Bytes of a chunk: the last one has what is left."""
        return min(self.chunk_size, self.size - chunk * self.chunk_size)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest: head, segment table (dtype SEGMENTS, ascending), pack table (dtype PACKS, ascending)."""

    head: Head
    segments: NDArray[np.void]
    packs: NDArray[np.void]

    @property
    def shape(self) -> Shape:
        """How its image is cut."""
        return Shape(self.head.size, self.head.chunk_size, self.head.segment_slots)

    def pack_ids(self) -> set[bytes]:
        """Every pack that the backup needs."""
        return {bytes(each) for each in self.packs["id"]}

    def find_segment(self, number: int) -> tuple[bytes, Place] | None:
        """(segment digest, where its record is); None for a segment of zeros."""
        at = int(np.searchsorted(self.segments["number"], number))
        if at == len(self.segments) or self.segments["number"][at] != number:
            return None
        row = self.segments[at]
        pack = bytes(self.packs["id"][row["pack"]])
        return bytes(row["digest"]), Place(pack, int(row["offset"]), int(row["length"]))


def check_shape(shape: Shape) -> None:
    """:raises UsageError: sizes that the format has not."""
    chunk = shape.chunk_size
    if not SMALLEST_CHUNK <= chunk <= LARGEST_CHUNK or chunk & (chunk - 1):
        raise UsageError(f"chunks of {chunk} bytes: a power of two from 64 KiB to 4 MiB is wanted")
    if not 0 < shape.slots <= LARGEST_SLOTS or not 0 <= shape.size <= LARGEST_IMAGE:
        raise UsageError(f"an image of {shape.size} bytes in segments of {shape.slots} chunks is out of range")
    if shape.segments > MOST_SEGMENTS:
        raise UsageError(f"an image of {shape.size} bytes has too many chunks of {chunk} bytes")


def root_of(shape: Shape, numbers: NDArray[np.uint32], digests: list[bytes], hasher: Hasher) -> bytes:
    """The root of an image whose segments `numbers` have these digests, and whose others are zeros."""

    def in_order() -> Iterator[bytes]:
        at = 0
        for number, each in zip(numbers.tolist(), digests, strict=True):
            yield NOTHING * (number - at)
            yield each
            at = number + 1
        yield NOTHING * (shape.segments - at)

    return hasher.root(shape.size, shape.chunk_size, shape.slots, in_order())


def encode(manifest: Manifest) -> bytes:
    """The whole object."""
    head = msgspec.json.encode(manifest.head)
    front = _FRONT.pack(_MAGIC, VERSION, len(head), len(manifest.segments), len(manifest.packs))
    data = front + head + manifest.segments.tobytes() + manifest.packs.tobytes()
    return data + checksum(data)


def parse(data: bytes, what: str, hasher: Hasher) -> Manifest:
    """A manifest out of its bytes; `what` names it in errors.

    :raises DamagedError: not what was written. :raises UnsupportedError: a newer version.
    """
    if len(data) < _FRONT.size + DIGEST:
        raise DamagedError(f"{what} has {len(data)} bytes: no manifest")
    magic, version, head_length, segment_count, pack_count = _FRONT.unpack_from(data)
    if magic != _MAGIC:
        raise DamagedError(f"{what} does not begin as a manifest does")
    # Before the version: every version ends with this digest, so a flipped bit is not taken for a newer one.
    if checksum(memoryview(data)[:-DIGEST]) != data[-DIGEST:]:
        raise DamagedError(f"{what} is not as it was written: its digest differs")
    if version > VERSION:
        raise UnsupportedError(
            f"{what} is of version {version}; this program reads up to {VERSION}", hint="use a newer drystone"
        )
    tables = _FRONT.size + head_length
    packs_at = tables + segment_count * SEGMENTS.itemsize
    if len(data) != packs_at + pack_count * PACKS.itemsize + DIGEST:
        raise DamagedError(f"{what} has {len(data)} bytes, and its tables need others")
    try:
        head = msgspec.json.decode(data[_FRONT.size : tables], type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{what}: {error}") from error
    manifest = Manifest(
        head,
        np.frombuffer(data, dtype=SEGMENTS, count=segment_count, offset=tables),
        np.frombuffer(data, dtype=PACKS, count=pack_count, offset=packs_at),
    )
    _check(manifest, what, hasher)
    return manifest


def _check(manifest: Manifest, what: str, hasher: Hasher) -> None:
    """That the parts fit each other: what every reader relies on."""
    shape, segments, packs = manifest.shape, manifest.segments, manifest.packs
    try:
        check_shape(shape)
    except UsageError as error:
        raise DamagedError(f"{what}: {error.message}") from error
    numbers = segments["number"].astype(np.int64)
    if len(numbers) and (numbers[-1] >= shape.segments or (np.diff(numbers) <= 0).any()):
        raise DamagedError(f"{what}: its segments are not in order")
    ids = [bytes(each) for each in packs["id"]]
    if ids != sorted(set(ids)):
        raise DamagedError(f"{what}: its packs are not in order")
    check_places(len(ids), segments["pack"], segments["offset"], segments["length"], what)
    root = root_of(shape, segments["number"], [bytes(each) for each in segments["digest"]], hasher)
    if root.hex() != manifest.head.root:
        raise DamagedError(f"{what}: its root is not that of its segments")


def make_packs(counts: dict[bytes, tuple[int, int]]) -> NDArray[np.void]:
    """A pack table from pack id -> (references, bytes); packs without a reference are left out."""
    rows = [(pack, *count, 0) for pack, count in sorted(counts.items()) if count[0]]
    assert all(len(row[0]) == PACK_ID for row in rows)
    return np.array(rows, dtype=PACKS)


def make_segments(entries: dict[int, tuple[bytes, Place]], packs: NDArray[np.void]) -> NDArray[np.void]:
    """A segment table from number -> (digest, place), its packs found in the pack table."""
    places = {bytes(each): at for at, each in enumerate(packs["id"])}
    rows = [
        (number, name, places[place.pack], place.offset, place.length)
        for number, (name, place) in sorted(entries.items())
    ]
    return np.array(rows, dtype=SEGMENTS)
