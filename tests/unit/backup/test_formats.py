"""The format: packs, segments and manifests go round, and what is damaged is named."""

from __future__ import annotations

import struct
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from blake3 import blake3

from drystone.backup import manifest as manifests
from drystone.backup import segment as segments
from drystone.backup.codec import Codec, Compressor, decompress
from drystone.backup.digest import NOTHING, digest, image_root, segment_digest
from drystone.backup.manifest import Head, Manifest, Shape, make_packs, make_segments, root_of
from drystone.backup.pack import (
    HEADER,
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
from drystone.backup.segment import Segment
from drystone.base.errors import DamagedError, UnsupportedError, UsageError

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
        assert bytes(parse_record(cut(pack, place), Kind.CHUNK, digest(plain))) == plain
    assert places[0].length < len(TEXT) // 10
    assert places[1].length == len(NOISE) + 48


def test_a_pack_is_laid_out_as_the_reference_says() -> None:
    pack, places = build(b"x")
    assert pack[:32] == b"DRYPACK\n" + struct.pack("<II", 1, 0) + PACK
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
                parse_record(memoryview(bytes(record)), Kind.CHUNK, digest(plain))
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
        with pytest.raises((DamagedError, UnsupportedError)):
            read(bytes(wrong))


def test_a_record_of_another_kind_or_digest_is_refused() -> None:
    pack, (place,) = build(TEXT)
    for kind, name in ((Kind.SEGMENT, digest(TEXT)), (Kind.CHUNK, digest(b"other"))):
        with pytest.raises(DamagedError, match="where another should be"):
            parse_record(cut(pack, place), kind, name)
    assert bytes(parse_record(cut(pack, place), Kind.CHUNK, None)) == TEXT


def test_packs_of_newer_versions_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="version 2"):
        parse_header(b"DRYPACK\n" + struct.pack("<II", 2, 0) + PACK, PACK)
    with pytest.raises(UnsupportedError, match="encryption 1"):
        parse_header(b"DRYPACK\n" + struct.pack("<II", 1, 1) + PACK, PACK)


def test_unpacking_makes_no_more_than_it_was_told() -> None:
    bomb = Compressor().compress(memoryview(bytes(1 << 20)))[1]
    with pytest.raises(DamagedError):
        decompress(Codec.ZSTD, memoryview(bomb), 1000)
    for payload in (b"", b"nonsense", bytes(bomb)[:-3], bytes(bomb) + b"more"):
        with pytest.raises(DamagedError):
            decompress(Codec.ZSTD, memoryview(payload), 1 << 20)
    with pytest.raises(DamagedError, match="codec 7"):
        decompress(7, memoryview(b"x"), 1)


def test_a_long_record_that_does_not_shrink_is_known_by_a_look() -> None:
    noise = blake3(b"long").digest(1 << 20)
    assert Compressor().compress(memoryview(noise))[0] is Codec.PLAIN
    assert Compressor().compress(memoryview(TEXT * 10))[0] is Codec.ZSTD


def make_segment(slots: int = 20) -> Segment:
    segment = Segment.empty(3, slots)
    for slot in (0, 5, 6, slots - 1):
        segment.put(slot, digest(b"%d" % slot), Place(bytes([slot]) * 16, 32 + slot, 100 + slot))
    return segment


def test_segments_go_round() -> None:
    segment = make_segment()
    again = segments.parse(segments.encode(segment), 3, 20)
    assert again.digest() == segment.digest()
    assert [again.place(slot) for slot in range(20)] == [segment.place(slot) for slot in range(20)]
    assert [again.leaf(slot) for slot in range(20)] == [segment.leaf(slot) for slot in range(20)]


def test_a_segment_names_only_packs_it_uses() -> None:
    segment = make_segment()
    segment.clear(5)
    again = segments.parse(segments.encode(segment), 3, 20)
    assert set(again.packs) == {bytes([0]) * 16, bytes([6]) * 16, bytes([19]) * 16}
    assert again.place(5) is None
    assert again.leaf(5) == NOTHING


def test_wrong_segments_are_refused() -> None:
    data = segments.encode(make_segment())
    for wrong in (b"", data[:-1], data + b"x", data[:8]):
        with pytest.raises(DamagedError):
            segments.parse(wrong, 3, 20)
    with pytest.raises(DamagedError):
        segments.parse(data, 4, 20)
    with pytest.raises(DamagedError):
        segments.parse(data, 3, 21)


def make_manifest() -> Manifest:
    shape = Shape(5 * 20 * 65536 + 17, 65536, 20)
    segment = make_segment()
    entries = {3: (segment.digest(), Place(b"m" * 16, 32, 500))}
    packs = make_packs({b"m" * 16: (1, 500), b"a" * 16: (4, 430), b"z" * 16: (0, 0)})
    table = make_segments(entries, packs)
    root = root_of(shape, table["number"], [bytes(each) for each in table["digest"]])
    head = Head(
        backup="b", volume="v", parent="", created="2026-01-02T03:04:05.000006+00:00", source="s", size=shape.size,
        chunk_size=65536, segment_slots=20, root=root.hex(), chunks=4, read=1, stored=2, about={"key": "välue"},
    )  # fmt: skip
    return Manifest(head, table, packs)


def test_manifests_go_round() -> None:
    manifest = make_manifest()
    again = manifests.parse(manifests.encode(manifest), "it")
    assert again.head == manifest.head
    assert again.find_segment(3) == (make_segment().digest(), Place(b"m" * 16, 32, 500))
    assert again.find_segment(2) is None
    assert again.find_segment(4) is None
    assert again.pack_ids() == {b"m" * 16, b"a" * 16}


def test_every_flipped_byte_of_a_manifest_is_found() -> None:
    data = manifests.encode(make_manifest())
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 0x40
        with pytest.raises((DamagedError, UnsupportedError)):
            manifests.parse(bytes(wrong), "it")
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            manifests.parse(data[:length], "it")


def sealed(data: bytes) -> bytes:
    """The same manifest with a digest that fits, as a writer with a defect would make it."""
    return data[:-32] + digest(data[:-32])


def test_a_newer_manifest_is_refused_by_name() -> None:
    data = bytearray(manifests.encode(make_manifest()))
    data[8] = 2
    with pytest.raises(UnsupportedError, match="version 2"):
        manifests.parse(sealed(bytes(data)), "it")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chunk_size": 1000}, "power of two"),
        ({"chunk_size": 1 << 30}, "power of two"),
        ({"segment_slots": 0}, "out of range"),
        ({"size": -1}, "out of range"),
        ({"size": 1 << 61}, "too many"),
        ({"size": 65536}, "not in order"),
        ({"root": "00"}, "root"),
        ({"size": 5 * 20 * 65536 + 18}, "root"),
    ],
)
def test_manifests_whose_parts_do_not_fit_are_refused(change: dict[str, object], match: str) -> None:
    manifest = make_manifest()
    head = msgspec.convert({**msgspec.structs.asdict(manifest.head), **change}, Head)
    with pytest.raises(DamagedError, match=match):
        manifests.parse(manifests.encode(replace(manifest, head=head)), "it")


def test_unknown_fields_of_the_head_are_let_pass() -> None:
    manifest = make_manifest()
    data = manifests.encode(manifest)
    length = struct.unpack_from("<I", data, 12)[0]
    head = msgspec.json.encode({**msgspec.structs.asdict(manifest.head), "later": [1, 2]})
    longer = data[:12] + struct.pack("<I", len(head)) + data[16:24] + head + data[24 + length :]
    assert manifests.parse(sealed(longer), "it").head == manifest.head


def test_the_root_is_that_of_the_reference() -> None:
    # Two segments of two chunks, the second segment zeros, written out by hand from docs/reference/backup-format.md.
    leaf = blake3(b"\1" * 65536).digest()
    first = blake3(b"drystone/segment/1\0" + struct.pack("<I", 2) + leaf + bytes(32)).digest()
    root = blake3(b"drystone/image/1\0" + struct.pack("<QII", 200_000, 65536, 2) + first + bytes(32)).digest()
    leaves = np.zeros((2, 32), dtype=np.uint8)
    leaves[0] = np.frombuffer(leaf, dtype=np.uint8)
    assert segment_digest(leaves) == first
    assert image_root(200_000, 65536, 2, [first, NOTHING]) == root
    assert root_of(Shape(200_000, 65536, 2), np.array([0], dtype=np.uint32), [first]) == root


@pytest.mark.parametrize(("size", "chunks", "count"), [(0, 0, 0), (1, 1, 1), (65536, 1, 1), (65537 * 20, 21, 2)])
def test_shapes(size: int, chunks: int, count: int) -> None:
    shape = Shape(size, 65536, 20)
    assert (shape.chunks, shape.segments) == (chunks, count)
    assert sum(shape.length_of(chunk) for chunk in range(chunks)) == size
    assert sum(shape.slots_of(number) for number in range(count)) == chunks


def test_shapes_out_of_range() -> None:
    with pytest.raises(UsageError):
        manifests.check_shape(Shape(1, 65535, 20))
