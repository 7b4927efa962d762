"""LVM2's bytes: what is written is read again; what was changed is read, or refused by DamagedError, and nothing else.

The changed bytes are those of LVM2's own headers and texts, out of the golden images.
"""

from __future__ import annotations

import contextlib
import lzma
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.errors import DamagedError, UsageError
from drystone.dvm.lvm2.assembly import assemble
from drystone.dvm.lvm2.conversion import convert
from drystone.dvm.lvm2.groups_document import groups_document
from drystone.dvm.lvm2.rescue import rescue
from drystone.dvm.lvm2.scan_document import scan_document
from drystone.dvm.lvm2.survey import survey
from drystone.dvm.lvm2.tables import build_tables
from drystone.dvm.lvm2.texts_document import texts_document
from drystone.formats.lvm2 import layout
from drystone.formats.lvm2.area import parse_area_header
from drystone.formats.lvm2.group import Group, parse_group
from drystone.formats.lvm2.label import HEAD_SIZE, find_label
from drystone.formats.lvm2.ring import find_texts, pieces
from drystone.formats.lvm2.syntax import Scalar, Section, Value, parse
from drystone.testing.lvm2_metadata import AREA_BEGIN, AREA_SIZE, MemoryDevice, checksum, write_area, write_text

GOLDEN = Path(__file__).parents[2] / "golden" / "lvm2"
HEADS = ("kinds.0", "wrapped.0", "wrapped.1", "orphan.0")


@cache
def head(name: str) -> bytes:
    """The first MiB of a golden image."""
    with lzma.open(GOLDEN / f"{name}.img.xz") as stream:
        return stream.read(1 << 20)


@cache
def newest_text(name: str) -> bytes:
    (found, *_) = survey([MemoryDevice("/dev/x", head(name))])[0].areas
    assert found.committed is not None
    return found.committed.data


def spliced(data: bytes, changes: Sequence[tuple[int, bytes]]) -> bytes:
    """`data` with bytes put over it at places, counted round."""
    found = bytearray(data)
    for at, new in changes:
        place = at % len(found)
        found[place : place + len(new)] = new
    return bytes(found[: len(data)])


CHANGES = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=16)), min_size=1, max_size=6
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 1 << 21),
    st.sampled_from([0, 1, 511, 512, 513, 1 << 63, (1 << 64) - 1]),
)


def resealed_label(sector: bytes) -> bytes:
    return sector[:16] + checksum(sector[20:]).to_bytes(4, "little") + sector[20:]


def resealed_header(sector: bytes) -> bytes:
    return checksum(sector[4:]).to_bytes(4, "little") + sector[4:]


@given(st.sampled_from(HEADS), CHANGES, st.booleans())
def test_labels(name: str, changes: list[tuple[int, bytes]], sealed: bool) -> None:
    data = head(name)[:HEAD_SIZE]
    number = data.index(b"LABELONE") // 512
    sector = spliced(data[number * 512 : number * 512 + 512], changes)
    sector = resealed_label(sector) if sealed else sector
    try:
        label = find_label(data[: number * 512] + sector + data[number * 512 + 512 :])
    except DamagedError:
        return
    if label is not None:
        assert len(label.metadata_areas) + len(label.data_areas) + len(label.boot_areas) <= 30
        assert sealed or sector == data[number * 512 : number * 512 + 512] or sector[:16] != data[number * 512 :][:16]


@given(st.lists(NUMBERS, max_size=8), st.sampled_from(HEADS), CHANGES)
def test_area_headers(numbers: list[int], name: str, changes: list[tuple[int, bytes]]) -> None:
    sector = bytearray(spliced(head(name)[AREA_BEGIN : AREA_BEGIN + 512], changes))
    for position, number in enumerate(numbers):
        sector[40 + 8 * position : 48 + 8 * position] = number.to_bytes(8, "little")
    for each in (bytes(sector), resealed_header(bytes(sector))):
        try:
            header = parse_area_header(each, AREA_BEGIN)
        except DamagedError:
            continue
        for location in (header.committed, header.precommitted):
            if location is not None:
                try:
                    stretches = pieces(location, header.size)
                except DamagedError:
                    continue
                assert sum(length for _, length in stretches) == location.size
                assert all(at >= 512 and at + length <= header.size for at, length in stretches)


def check_group(group: Group) -> None:
    """What tables rely on."""
    names = {each.name for each in group.logical}
    for volume in group.logical:
        assert volume.extents == sum(segment.extents for segment in volume.segments)
    assert len(names) == len(group.logical)


WORDS = st.sampled_from(
    [b"{", b"}", b"[", b"]", b"=", b",", b'"', b"#", b"\n", b"\\", b"-1", b"0", b"99999999999999999999", b"segment2 {",
     b"\0", b"\xff", b'"pv0"', b"stripes", b"4294967296", b"1.5", b'"VISIBLE"', b"extent_count = 0\n"]
)  # fmt: skip
CUTS = st.tuples(st.integers(0, 1 << 20), st.integers(0, 400), st.lists(WORDS, max_size=3))


@given(st.sampled_from(("kinds.0", "wrapped.0")), st.lists(CUTS, min_size=1, max_size=3))
@settings(max_examples=150)
def test_texts(name: str, cuts: list[tuple[int, int, list[bytes]]]) -> None:
    """Stretches of a text cut out, and words of the grammar put in their place."""
    text = newest_text(name)
    for at, length, words in cuts:
        place = at % len(text)
        text = text[:place] + b" ".join(words) + text[place + length :]
    try:
        group = parse_group(text)
    except DamagedError:
        return
    check_group(group)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_or_refused(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        parse(data)


PLACES = st.one_of(st.integers(512, 1100), st.integers(AREA_BEGIN, AREA_BEGIN + 120), st.integers(0, 1 << 20))


@given(
    st.sampled_from(HEADS),
    st.lists(st.tuples(PLACES, st.binary(min_size=1, max_size=64)), min_size=1, max_size=8),
    st.booleans(),
)
@settings(max_examples=60)
def test_whole_devices(name: str, changes: list[tuple[int, bytes]], sealed: bool) -> None:
    """Everything that the command does, on changed devices beside a sound one: a document, or an error of ours."""
    data = spliced(head(name), changes)
    if sealed:
        data = data[:512] + resealed_label(data[512:1024]) + data[1024:AREA_BEGIN] + resealed_header(
            data[AREA_BEGIN : AREA_BEGIN + 512]
        ) + data[AREA_BEGIN + 512 :]  # fmt: skip
    devices = [MemoryDevice("/dev/changed", data), MemoryDevice("/dev/sound", head("kinds.0"))]
    surveyed = survey(devices)
    scan_document(surveyed)
    groups = assemble(surveyed)
    groups_document(groups, ())
    for each in groups:
        try:
            build_tables(each)
            convert(each, leave_out=True)
        except UsageError:
            pass
    found = rescue(devices, surveyed)
    texts_document(found, found.texts)
    assert {each.group.number for each in found.texts if each.group.name == "gold-vg"} >= set(range(2, 24))


SCALARS: st.SearchStrategy[Scalar] = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.integers(-(1 << 63) + 1, (1 << 63) - 1),
    st.integers(-10000, 10000).map(lambda number: number / 8),
)
NAMES = st.one_of(st.from_regex(r"[A-Za-z0-9_.+-]{1,12}", fullmatch=True), st.text(max_size=8))
SECTIONS: st.SearchStrategy[Section] = st.recursive(
    st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=4).map(tuple)), max_size=5),
    lambda inner: st.dictionaries(NAMES, st.one_of(inner, SCALARS), max_size=4),
    max_leaves=20,
)


def spell(value: Value | Section, level: int = 0) -> str:
    """LVM2's spelling of a value or of a section's inside."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, int | float):
        return f"{value:.4f}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(spell, value))}]"
    lines = []
    for name, each in value.items():
        key = spell(name)
        inner = f"{key} {{\n{spell(each, level + 1)}\n}}" if isinstance(each, dict) else f"{key} = {spell(each)}"
        lines.append("\t" * level + inner + "\t# comment")
    return "\n".join(lines)


@given(SECTIONS)
def test_what_is_spelled_is_read_again(section: Section) -> None:
    assert parse(spell(section).encode()) == section


@given(st.integers(1, 12), st.integers(8, 40), st.integers(0, 39), st.integers(0, 600))
def test_a_ring_gives_back_its_last_texts(count: int, sectors: int, first: int, filler: int) -> None:
    """Whatever its size and wherever it begins: the newest text always, and no text that was not written."""
    texts = [write_text({}, seqno=number, description="d" * (filler * number % 700)) for number in range(1, count + 1)]
    size = 512 * (sectors + 1)
    if max(map(len, texts)) + 1 > size - 512:
        return
    area = write_area(texts, size=size, first=512 + 512 * (first % sectors))
    found = []
    for each in find_texts(area):
        try:
            parse_group(each.data)
        except DamagedError:
            continue
        found.append(each.data)
    assert texts[-1] in found
    assert set(found) <= set(texts)


def test_the_layout_is_that_of_the_page() -> None:
    assert (layout.LABEL.size, layout.PV_HEADER.size, layout.AREA_HEADER.size, layout.LOCATION.size) == (32, 40, 40, 24)
    assert AREA_SIZE + AREA_BEGIN == 1 << 20
