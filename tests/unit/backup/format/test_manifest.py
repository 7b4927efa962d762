"""Manifests go round; damaged, newer and ill-fitting ones are refused."""

from __future__ import annotations

import struct
from dataclasses import replace

import msgspec
import pytest

from drystone.backup.format import manifest as manifests
from drystone.backup.format.digest import Hasher, checksum
from drystone.backup.format.manifest import Head, Manifest, Shape, make_packs, make_segments, root_of
from drystone.backup.format.pack import (
    Place,
)
from drystone.backup.format.segment import Segment
from drystone.base.errors import DamagedError, UnsupportedError, UsageError

HASHER = Hasher()


def make_segment(slots: int = 20) -> Segment:
    segment = Segment.empty(3, slots)
    for slot in (0, 5, 6, slots - 1):
        segment.put(slot, checksum(b"%d" % slot), Place(bytes([slot]) * 16, 32 + slot, 100 + slot))
    return segment


def make_manifest() -> Manifest:
    shape = Shape(5 * 20 * 65536 + 17, 65536, 20)
    segment = make_segment()
    entries = {3: (segment.digest(HASHER), Place(b"m" * 16, 32, 500))}
    packs = make_packs({b"m" * 16: (1, 500), b"a" * 16: (4, 430), b"z" * 16: (0, 0)})
    table = make_segments(entries, packs)
    root = root_of(shape, table["number"], [bytes(each) for each in table["digest"]], HASHER)
    head = Head(
        backup="b", volume="v", parent="", created="2026-01-02T03:04:05.000006+00:00", source="s", size=shape.size,
        chunk_size=65536, segment_slots=20, root=root.hex(), chunks=4, read=1, stored=2, about={"key": "välue"},
    )  # fmt: skip
    return Manifest(head, table, packs)


def test_manifests_go_round() -> None:
    manifest = make_manifest()
    again = manifests.parse(manifests.encode(manifest), "it", HASHER)
    assert again.head == manifest.head
    assert again.find_segment(3) == (make_segment().digest(HASHER), Place(b"m" * 16, 32, 500))
    assert again.find_segment(2) is None
    assert again.find_segment(4) is None
    assert again.pack_ids() == {b"m" * 16, b"a" * 16}


def test_every_flipped_byte_of_a_manifest_is_found() -> None:
    data = manifests.encode(make_manifest())
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 0x40
        with pytest.raises((DamagedError, UnsupportedError)):
            manifests.parse(bytes(wrong), "it", HASHER)
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            manifests.parse(data[:length], "it", HASHER)


def sealed(data: bytes) -> bytes:
    """The same manifest with a digest that fits, as a writer with a defect would make it."""
    return data[:-32] + checksum(data[:-32])


def test_a_flipped_version_is_damage_and_no_newer_version() -> None:
    data = bytearray(manifests.encode(make_manifest()))
    data[8] ^= 2
    with pytest.raises(DamagedError, match="digest"):
        manifests.parse(bytes(data), "it", HASHER)


def test_a_newer_manifest_is_refused_by_name() -> None:
    data = bytearray(manifests.encode(make_manifest()))
    data[8] = 2
    with pytest.raises(UnsupportedError, match="version 2"):
        manifests.parse(sealed(bytes(data)), "it", HASHER)


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
        manifests.parse(manifests.encode(replace(manifest, head=head)), "it", HASHER)


@pytest.mark.parametrize(("field", "value"), [("pack", 9), ("offset", 31), ("length", 48), ("offset", 1 << 30)])
def test_segments_at_places_that_are_none_are_refused(field: str, value: int) -> None:
    manifest = make_manifest()
    table = manifest.segments.copy()
    table[field] = value
    with pytest.raises(DamagedError, match="refers to a p"):
        manifests.parse(manifests.encode(replace(manifest, segments=table)), "it", HASHER)


def test_packs_out_of_order_or_twice_are_refused() -> None:
    manifest = make_manifest()
    for packs in (manifest.packs[::-1], manifest.packs[[0, 1, 1]]):
        with pytest.raises(DamagedError, match="packs are not in order"):
            manifests.parse(manifests.encode(replace(manifest, packs=packs)), "it", HASHER)


def test_unknown_fields_of_the_head_are_let_pass() -> None:
    manifest = make_manifest()
    data = manifests.encode(manifest)
    length = struct.unpack_from("<I", data, 12)[0]
    head = msgspec.json.encode({**msgspec.structs.asdict(manifest.head), "later": [1, 2]})
    longer = data[:12] + struct.pack("<I", len(head)) + data[16:24] + head + data[24 + length :]
    assert manifests.parse(sealed(longer), "it", HASHER).head == manifest.head


@pytest.mark.parametrize(("size", "chunks", "count"), [(0, 0, 0), (1, 1, 1), (65536, 1, 1), (65537 * 20, 21, 2)])
def test_shapes(size: int, chunks: int, count: int) -> None:
    shape = Shape(size, 65536, 20)
    assert (shape.chunks, shape.segments) == (chunks, count)
    assert sum(shape.length_of(chunk) for chunk in range(chunks)) == size
    assert sum(shape.slots_of(number) for number in range(count)) == chunks


def test_shapes_out_of_range() -> None:
    with pytest.raises(UsageError):
        manifests.check_shape(Shape(1, 65535, 20))
