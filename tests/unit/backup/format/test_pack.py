"""Packs and records: laid out as documented, and every damage is found."""

from __future__ import annotations

import gc
import struct
import weakref
from collections.abc import Callable

import google_crc32c
import numpy as np
import pytest
from blake3 import blake3

from drystone.backup.format.cipher import Keyring
from drystone.backup.format.codec import Codec, Compressor
from drystone.backup.format.digest import Hasher
from drystone.backup.format.digest import checksum as digest
from drystone.backup.format.pack import (
    HEADER,
    INDEX,
    LARGEST_PLAIN,
    TRAILER,
    Kind,
    PackBuilder,
    Place,
    index_length,
    make_record,
    parse_header,
    parse_index,
    parse_record,
)
from drystone.base.errors import DamagedError, UnsupportedError

PACK = bytes(range(16))
TEXT = b"a text that shrinks " * 5000
NOISE = blake3(b"noise").digest(100_000)


def build(*contents: bytes) -> tuple[bytes, list[Place]]:
    builder = PackBuilder(PACK, 1 << 20)
    places = []
    for plain in contents:
        codec, payload = Compressor().compress(memoryview(plain))
        places.append(builder.add(make_record(Kind.CHUNK, codec, digest(plain), payload, len(plain))))
    return bytes(builder.finish()), places


def cut(pack: bytes, place: Place) -> memoryview:
    return memoryview(pack)[place.offset : place.offset + place.length]


def test_records_go_round() -> None:
    contents = [TEXT, NOISE, b"x"]
    pack, places = build(*contents)
    for plain, place in zip(contents, places, strict=True):
        assert bytes(parse_record(cut(pack, place), Kind.CHUNK, digest(plain), Hasher())) == plain
    assert places[0].length < len(TEXT) // 10
    assert places[1].length == len(NOISE) + 48


def test_a_pack_is_laid_out_as_the_reference_says() -> None:
    pack, places = build(b"x")
    assert pack[:32] == b"DRYPACK\n" + struct.pack("<II", 2, 0) + PACK
    assert places == [Place(PACK, 32, 49)]
    assert pack[36:48] == struct.pack("<IIBBH", 1, 1, 1, 0, 0)
    assert pack[48:80] == blake3(b"x").digest()
    assert pack[80:81] == b"x"
    assert pack[81:129] == blake3(b"x").digest() + struct.pack("<IIIBBH", 32, 49, 1, 1, 0, 0)
    assert pack[129:133] == struct.pack("<I", 1)
    assert pack[137:141] == struct.pack("<I", 81)
    assert pack[145:] == b"DRYPEND\n"


def test_the_index_lists_what_is_there() -> None:
    pack, places = build(TEXT, NOISE)
    length = index_length(pack[-TRAILER:], len(pack), PACK)
    index = parse_index(pack[:HEADER], pack[-length:], len(pack), PACK)
    assert [Place(PACK, int(row["offset"]), int(row["length"])) for row in index] == places
    assert [bytes(row["digest"]) for row in index] == [digest(TEXT), digest(NOISE)]


def test_every_flipped_byte_of_a_record_is_found() -> None:
    pack, places = build(b"some content here", TEXT)
    for place, plain in zip(places, (b"some content here", TEXT), strict=True):
        record = bytearray(cut(pack, place))
        for at in range(len(record)):
            record[at] ^= 0x10
            with pytest.raises(DamagedError):
                parse_record(memoryview(bytes(record)), Kind.CHUNK, digest(plain), Hasher())
            record[at] ^= 0x10


def test_every_flipped_byte_of_header_index_and_trailer_is_found() -> None:
    def read(data: bytes) -> None:
        length = index_length(data[-TRAILER:], len(data), PACK)
        parse_index(data[:HEADER], data[-length:], len(data), PACK)

    pack, places = build(b"content", TEXT)
    read(pack)
    ends = places[-1].offset + places[-1].length
    for at in [*range(HEADER), *range(ends, len(pack))]:
        wrong = bytearray(pack)
        wrong[at] ^= 1
        with pytest.raises(DamagedError):
            read(bytes(wrong))


def test_a_record_of_another_kind_or_digest_is_refused() -> None:
    pack, (place,) = build(TEXT)
    for kind, name in ((Kind.SEGMENT, digest(TEXT)), (Kind.CHUNK, digest(b"other"))):
        with pytest.raises(DamagedError, match="where another should be"):
            parse_record(cut(pack, place), kind, name, Hasher())
    assert bytes(parse_record(cut(pack, place), Kind.CHUNK, None, Hasher())) == TEXT


@pytest.mark.parametrize("kind", [Kind.CHUNK, Kind.OLD_SEGMENT])
@pytest.mark.parametrize("ring", [None, Keyring(bytes(32))], ids=["plain", "encrypted"])
def test_bytes_that_have_not_the_digest_of_their_record_are_refused(kind: Kind, ring: Keyring | None) -> None:
    """All sums are right, and the key: whoever stored it was wrong, or meant to deceive."""
    hasher = Hasher() if ring is None else ring.hasher()
    builder = PackBuilder(PACK, 1 << 20, ring)
    places = [
        builder.add(make_record(kind, Codec.PLAIN, hasher.digest(name), b"right", 5, encrypted=ring is not None))
        for name in (b"right", b"wrong")
    ]
    pack = bytes(builder.finish())
    right, wrong = (cut(pack, place) for place in places)
    openers = [None if ring is None else ring.opener(PACK, place.offset) for place in places]
    assert bytes(parse_record(right, kind, hasher.digest(b"right"), hasher, openers[0])) == b"right"
    with pytest.raises(DamagedError, match="digest"):
        parse_record(wrong, kind, hasher.digest(b"wrong"), hasher, openers[1])
    if openers[0] is not None:
        with pytest.raises(DamagedError, match="decrypted"):
            parse_record(right, kind, hasher.digest(b"right"), hasher, openers[1])


def test_packs_of_newer_versions_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="version 3"):
        parse_header(b"DRYPACK\n" + struct.pack("<II", 3, 0) + PACK, PACK)
    with pytest.raises(UnsupportedError, match="encryption 1"):
        parse_header(b"DRYPACK\n" + struct.pack("<II", 1, 1) + PACK, PACK)


def test_the_header_of_another_pack_is_refused() -> None:
    with pytest.raises(DamagedError, match="says that it is"):
        parse_header(build(b"x")[0][:HEADER], bytes(16))


@pytest.mark.parametrize(("field", "value"), [("offset", HEADER - 1), ("length", 1 << 20)])
def test_an_index_that_points_outside_its_pack_is_refused(field: str, value: int) -> None:
    """All sums are right: as a writer with a defect would make it."""
    pack, places = build(b"content", TEXT)
    ends = places[-1].offset + places[-1].length
    table = np.frombuffer(pack[ends:-TRAILER], dtype=INDEX).copy()
    table[field][0] = value
    front = struct.pack("<III", 2, google_crc32c.value(table.tobytes()), ends)
    end = table.tobytes() + front + struct.pack("<I", google_crc32c.value(pack[:HEADER] + front)) + b"DRYPEND\n"
    with pytest.raises(DamagedError, match="points outside"):
        parse_index(pack[:HEADER], end, len(pack), PACK)


def test_a_pack_to_which_something_was_added_is_refused() -> None:
    pack, _ = build(b"content")
    length = index_length(pack[-TRAILER:], len(pack), PACK)
    with pytest.raises(DamagedError, match="index"):
        parse_index(pack[:HEADER], pack[-length:], len(pack) + 1, PACK)


def test_a_record_that_unpacks_to_more_than_any_can_hold_is_refused() -> None:
    plain = bytes(LARGEST_PLAIN + 1)
    codec, payload = Compressor().compress(memoryview(plain))
    builder = PackBuilder(PACK, 1 << 20)
    place = builder.add(make_record(Kind.CHUNK, codec, digest(plain), payload, len(plain)))
    with pytest.raises(DamagedError):
        parse_record(cut(bytes(builder.finish()), place), Kind.CHUNK, digest(plain), Hasher())


@pytest.mark.parametrize("append", [None, lambda _data: None])
def test_a_pack_that_is_put_leaves_the_memory_at_once(append: Callable[[bytes | memoryview], None] | None) -> None:
    gc.disable()  # a cycle would keep it until garbage is looked for
    try:
        builder = PackBuilder(PACK, 1 << 20, append=append)
        builder.finish()
        kept = weakref.ref(builder)
        del builder
        assert kept() is None
    finally:
        gc.enable()
