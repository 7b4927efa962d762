"""Parsers of the repository's bytes: right, or DamagedError, whatever they are given."""

from __future__ import annotations

import contextlib
import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.format import manifest as manifests
from drystone.backup.format import segment as segments
from drystone.backup.format.codec import Compressor
from drystone.backup.format.digest import digest
from drystone.backup.format.manifest import Head, Manifest, Shape, make_packs, make_segments, root_of
from drystone.backup.format.pack import (
    HEADER,
    TRAILER,
    Kind,
    PackBuilder,
    Place,
    index_length,
    make_record,
    parse_index,
    parse_record,
)
from drystone.backup.format.segment import Segment
from drystone.backup.source import chunk_runs
from drystone.base.errors import DamagedError, UnsupportedError
from drystone.testing.sources import MemorySource

PACK = b"p" * 16
REFUSED = (DamagedError, UnsupportedError)


@st.composite
def damages(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with some bytes replaced, cut or put in, or other bytes altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    wrong = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(wrong) - 1)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            wrong[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == 1:
            wrong[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"]))
        elif kind == 2:
            del wrong[at : at + draw(st.integers(1, 50))]
        else:
            wrong[at:at] = draw(st.binary(max_size=20))
    return bytes(wrong)


def make_segment() -> Segment:
    segment = Segment.empty(1, 9)
    for slot in (0, 3, 8):
        segment.put(slot, digest(b"%d" % slot), Place(bytes([slot]) * 16, 32 + slot, 100))
    return segment


def make_manifest() -> bytes:
    shape = Shape(17 * 65536, 65536, 9)
    packs = make_packs({PACK: (1, 500)})
    name = segments.parse(segments.encode(make_segment()), 1, 9).digest()
    table = make_segments({1: (name, Place(PACK, 32, 500))}, packs)
    head = Head(
        backup="b", volume="v", parent="", created="c", source="s", size=shape.size, chunk_size=65536,
        segment_slots=9, root=root_of(shape, table["number"], [name]).hex(), chunks=3, read=1, stored=2, about={},
    )  # fmt: skip
    return manifests.encode(Manifest(head, table, packs))


def make_pack() -> bytes:
    builder = PackBuilder(PACK, 1000)
    for plain in (b"abc" * 100, b"x"):
        codec, payload = Compressor().compress(memoryview(plain))
        builder.add(make_record(Kind.CHUNK, codec, digest(plain), payload, len(plain)))
    return bytes(builder.finish())


SEGMENT, MANIFEST, PACK_BYTES = segments.encode(make_segment()), make_manifest(), make_pack()
RECORD = PACK_BYTES[32 : 32 + 48 + 20]


@settings(max_examples=300, deadline=None)
@given(damages(SEGMENT))
def test_segments(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        found = segments.parse(data, 1, 9)
        assert segments.parse(segments.encode(found), 1, 9).digest() == found.digest()
        assert all(found.place(slot) is not None for slot in found.present().tolist())


@settings(max_examples=300, deadline=None)
@given(damages(MANIFEST), st.booleans())
def test_manifests(data: bytes, seal: bool) -> None:  # hypothesis passes by position
    if seal:
        data = data[:-32] + digest(data[:-32])
    with contextlib.suppress(*REFUSED):
        found = manifests.parse(data, "it")
        for number in found.segments["number"].tolist():
            assert found.find_segment(number) is not None


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({name: st.integers() | st.text(max_size=5) for name in ("size", "chunk_size", "root")}))
def test_heads(change: dict[str, object]) -> None:
    found = manifests.parse(MANIFEST, "it")
    head = msgspec.json.encode({**msgspec.structs.asdict(found.head), **change})
    front = MANIFEST[:12] + len(head).to_bytes(4, "little") + MANIFEST[16:24]
    data = front + head + found.segments.tobytes() + found.packs.tobytes()
    with contextlib.suppress(DamagedError):
        manifests.parse(data + digest(data), "it")


@settings(max_examples=300, deadline=None)
@given(damages(PACK_BYTES))
def test_packs(data: bytes) -> None:
    with contextlib.suppress(*REFUSED):
        length = index_length(data[-TRAILER:], len(data), PACK)
        parse_index(data[:HEADER], data[-length:], len(data), PACK)
        assert data[:HEADER] == PACK_BYTES[:HEADER]


@settings(max_examples=300, deadline=None)
@given(damages(RECORD))
def test_records(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        plain = parse_record(memoryview(data), Kind.CHUNK, digest(b"abc" * 100))
        assert bytes(plain) == b"abc" * 100


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12), st.sampled_from([1, 4, 7]))
def test_runs_cover_what_ranges_touch(gaps: list[tuple[int, int]], chunk: int) -> None:
    ranges, at = [], 0
    for gap, length in gaps:
        ranges.append((at + gap, length))
        at += gap + length
    wanted = {byte // chunk for begin, length in ranges for byte in range(begin, begin + length)}
    runs = chunk_runs(MemorySource(b"", ranges).extents(), chunk).tolist()
    assert {each for first, last in runs for each in range(first, last)} == wanted
    assert all(first < last for first, last in runs)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(runs))
