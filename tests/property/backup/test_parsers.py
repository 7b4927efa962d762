"""Parsers of the repository's bytes: right, or DamagedError, whatever they are given."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.format import index_object, progress, sealed
from drystone.backup.format import manifest as manifests
from drystone.backup.format import segment as segments
from drystone.backup.format import slot as slots
from drystone.backup.format.cipher import Keyring
from drystone.backup.format.codec import Compressor
from drystone.backup.format.digest import NOTHING, Hasher, checksum
from drystone.backup.format.keys import REPOSITORY, operation_key, slot_key, state_key
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
from drystone.backup.format.progress import Step
from drystone.backup.format.segment import Segment
from drystone.backup.format.slot import KeyFile
from drystone.backup.key_copy import put_slots_back
from drystone.backup.ranges import chunk_runs
from drystone.backup.reading.locate import find_in
from drystone.backup.state import document
from drystone.backup.state.document import Doom, State
from drystone.backup.state.operations import read_operations
from drystone.backup.vault import create_vault, read_document
from drystone.backup.writing.index import make_index, make_table
from drystone.base.clock import SystemClock
from drystone.base.errors import DamagedError, UnsupportedError
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

NAME = "11111111-1111-4111-8111-111111111111"
PACK = b"p" * 16
REFUSED = (DamagedError, UnsupportedError)

HASHER = Hasher()


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
        segment.put(slot, checksum(b"%d" % slot), Place(bytes([slot]) * 16, 32 + slot, 100))
    return segment


def make_manifest() -> bytes:
    shape = Shape(17 * 65536, 65536, 9)
    packs = make_packs({PACK: (1, 500)})
    name = segments.parse(segments.encode(make_segment()), 1, 9).digest(HASHER)
    table = make_segments({1: (name, Place(PACK, 32, 500))}, packs)
    head = Head(
        backup="b", volume="v", parent="", created="c", source="s", size=shape.size, chunk_size=65536,
        segment_slots=9, root=root_of(shape, table["number"], [name], HASHER).hex(), chunks=3, read=1, stored=2,
        about={},
    )  # fmt: skip
    return manifests.encode(Manifest(head, table, packs))


def make_pack() -> bytes:
    builder = PackBuilder(PACK, 1000)
    for plain in (b"abc" * 100, b"x"):
        codec, payload = Compressor().compress(memoryview(plain))
        builder.add(make_record(Kind.CHUNK, codec, checksum(plain), payload, len(plain)))
    return bytes(builder.finish())


SEGMENT, MANIFEST, PACK_BYTES = segments.encode(make_segment()), make_manifest(), make_pack()
RECORD = PACK_BYTES[32 : 32 + 48 + 20]


@settings(max_examples=300, deadline=None)
@given(damages(SEGMENT))
def test_segments(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        found = segments.parse(data, 1, 9)
        assert segments.parse(segments.encode(found), 1, 9).digest(HASHER) == found.digest(HASHER)
        assert all(found.place(slot) is not None for slot in found.present().tolist())


@settings(max_examples=300, deadline=None)
@given(damages(MANIFEST), st.booleans())
def test_manifests(data: bytes, seal: bool) -> None:  # hypothesis passes by position
    if seal:
        data = data[:-32] + checksum(data[:-32])
    with contextlib.suppress(*REFUSED):
        found = manifests.parse(data, "it", HASHER)
        for number in found.segments["number"].tolist():
            assert found.find_segment(number) is not None


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({name: st.integers() | st.text(max_size=5) for name in ("size", "chunk_size", "root")}))
def test_heads(change: dict[str, object]) -> None:
    found = manifests.parse(MANIFEST, "it", HASHER)
    head = msgspec.json.encode({**msgspec.structs.asdict(found.head), **change})
    front = MANIFEST[:12] + len(head).to_bytes(4, "little") + MANIFEST[16:24]
    data = front + head + found.segments.tobytes() + found.packs.tobytes()
    with contextlib.suppress(DamagedError):
        manifests.parse(data + checksum(data), "it", HASHER)


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
        plain = parse_record(memoryview(data), Kind.CHUNK, checksum(b"abc" * 100), HASHER)
        assert bytes(plain) == b"abc" * 100


RING = Keyring(bytes(range(32)))
KEY = state_key(7)
SEALED = sealed.seal(RING, KEY, b"what was sealed")
INDEX = index_object.encode(make_index({checksum(b"%d" % each): (bytes([each]) * 16, 32, 99) for each in range(5)}))
STEP = progress.encode(
    Step(Shape(9 * 65536, 65536, 3), 0, 3, {1: (checksum(b"1"), Place(PACK, 32, 99)), 2: (NOTHING, None)}, 5)
)
STATE = document.encode(State(number=7, indexes=("a",), doomed=(Doom("00" * 16, 3),), moved={"a": ("b",)}))
SLOT = slots.make_slot(RING, KeyFile(bytes(32)), "label", SystemClock().now())
CHANGES = st.integers() | st.text(max_size=5) | st.none() | st.lists(st.integers(), max_size=2)


@settings(max_examples=200, deadline=None)
@given(damages(SEALED))
def test_sealed_objects(data: bytes) -> None:
    with contextlib.suppress(*REFUSED):
        assert sealed.unseal(RING, KEY, data) == b"what was sealed"


@settings(max_examples=300, deadline=None)
@given(damages(INDEX), st.booleans())
def test_indexes(data: bytes, fit: bool) -> None:
    if fit:
        data = data[:-32] + checksum(data[:-32])
    with contextlib.suppress(*REFUSED):
        found = index_object.parse(data, "it")
        table = make_table(found)
        for row in found.digests:
            assert table.find(row.tobytes()) is not None
            assert list(find_in(found, row.tobytes()))


def zstd(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(msgspec.json.encode(value))


@settings(max_examples=200, deadline=None)
@given(damages(STEP))
def test_steps(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        progress.parse(data, "it")


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(["version", "from", "to", "segments", "packs", "read"], CHANGES))
)
def test_steps_with_other_fields(change: dict[str, object]) -> None:
    whole = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(STEP))
    with contextlib.suppress(DamagedError):
        progress.parse(zstd({**whole, **change}), "it")


@settings(max_examples=200, deadline=None)
@given(damages(STATE))
def test_generations(data: bytes) -> None:
    with contextlib.suppress(*REFUSED):
        assert document.parse(data, 7).number == 7


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["version", "number", "backups", "doomed", "moved"], CHANGES)))
def test_generations_with_other_fields(change: dict[str, object]) -> None:
    whole = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(STATE))
    with contextlib.suppress(*REFUSED):
        assert document.parse(zstd({**whole, **change}), 7).number == 7


FIELDS = ("version", "slot", "kdf", "salt", "memory", "iterations", "lanes", "wrapped", "check", "created")


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, CHANGES)))
def test_slots(change: dict[str, object]) -> None:
    key = slot_key(SLOT.slot)
    data = msgspec.json.encode({**msgspec.structs.asdict(SLOT), **change})
    with contextlib.suppress(*REFUSED):
        slot = slots.parse(data, key)
        slots.open_slot(slot, KeyFile(bytes(32)))


DEEP = b"[" * 100_000 + b"]" * 100_000


def deep_manifest(head: bytes) -> bytes:
    found = manifests.parse(MANIFEST, "it", HASHER)
    front = MANIFEST[:12] + len(head).to_bytes(4, "little") + MANIFEST[16:24]
    data = front + head + found.segments.tobytes() + found.packs.tobytes()
    return data + checksum(data)


def read_repository(data: bytes) -> object:
    store = MemoryStore()
    store.objects[REPOSITORY] = data
    return read_document(store)


def read_an_operation(data: bytes) -> object:
    store = MemoryStore()
    vault = create_vault(store)
    store.objects[operation_key(NAME)] = data
    return read_operations(vault)


def put_back(data: bytes) -> object:
    store = MemoryStore()
    create_vault(store)
    return put_slots_back(store, data)


JSON_PARSERS: dict[str, Callable[[bytes], object]] = {
    "generation": lambda data: document.parse(zstandard.compress(data), 7),
    "progress": lambda data: progress.parse(zstandard.compress(data), "it"),
    "manifest": lambda data: manifests.parse(deep_manifest(data), "it", HASHER),
    "slot": lambda data: slots.parse(data, slot_key(SLOT.slot)),
    "repository": read_repository,
    "operation": read_an_operation,
    "copy of slots": put_back,
}


@pytest.mark.parametrize("parse", JSON_PARSERS.values(), ids=JSON_PARSERS)
@pytest.mark.parametrize("data", [DEEP, b'{"x":' + DEEP + b"}"], ids=["bare", "in a field that nobody knows"])
def test_json_of_great_depth(parse: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(DamagedError):
        parse(data)


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
