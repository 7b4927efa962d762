"""Labels of any content come back, and no bytes make the reader fail in another way than it says."""

from __future__ import annotations

import contextlib
import uuid

import google_crc32c
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from drystone.base.errors import DamagedError, UnsupportedError
from drystone.formats.label.label import (
    LEAST_SIZE,
    Extent,
    Label,
    build_label,
    check_label,
    choose_copy,
    last_page,
    parse_label,
)
from drystone.formats.label.layout import CHECKSUM_AT, MAGIC, MOST_REGIONS, PAGE
from drystone.formats.label.signatures import find_signatures

UUIDS = st.integers(1, (1 << 128) - 1).map(lambda number: str(uuid.UUID(int=number)))
NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,99}", fullmatch=True)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    size = draw(st.integers(LEAST_SIZE, 1 << 62))
    pages = last_page(size) // PAGE
    most = min(2 * MOST_REGIONS, pages)
    cuts = sorted(draw(st.sets(st.integers(1, pages), max_size=most)))
    regions = tuple(Extent(begin, end) for begin, end in zip(cuts[::2], cuts[1::2], strict=False))
    device = draw(UUIDS)
    listed = tuple(sorted({device, *draw(st.sets(UUIDS, max_size=20))}))
    members = len(listed)
    if draw(st.booleans()):
        listed, members = (), draw(st.integers(1, (1 << 32) - 1))
    generation = draw(st.integers(1, (1 << 64) - 1))
    return Label(draw(UUIDS), draw(NAMES), device, size, regions, generation, members, listed)


@given(labels(), st.integers(0, 1))
def test_round_trip(label: Label, copy: int) -> None:
    page = build_label(label, copy)
    assert len(page) == PAGE
    assert parse_label(page) == (label, copy)


@given(labels(), st.integers(0, PAGE - 1), st.integers(1, 255))
def test_a_changed_byte_is_seen(label: Label, at: int, change: int) -> None:
    page = bytearray(build_label(label, 0))
    page[at] ^= change
    reading = choose_copy(bytes(page), bytes(PAGE), label.size)
    assert reading.label is None
    assert reading.first in ("damaged", "none")


@given(st.binary(max_size=PAGE - len(MAGIC)), st.booleans())
@example(b"", True)
def test_hostile_pages(rest: bytes, is_sealed: bool) -> None:
    page = bytearray((MAGIC + rest).ljust(PAGE, b"\0"))
    if is_sealed:
        page[CHECKSUM_AT : CHECKSUM_AT + 4] = bytes(4)
        page[CHECKSUM_AT : CHECKSUM_AT + 4] = int(google_crc32c.value(bytes(page))).to_bytes(4, "little")
    with contextlib.suppress(DamagedError, UnsupportedError):
        label, copy = parse_label(bytes(page))
        check_label(label)
        assert build_label(label, copy) == bytes(page)


@given(labels(), st.data())
def test_sealed_mutations_of_sound_labels(label: Label, data: st.DataObject) -> None:
    page = bytearray(build_label(label, 0))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(16, 760))
        page[at] = data.draw(st.integers(0, 255))
    page[CHECKSUM_AT : CHECKSUM_AT + 4] = bytes(4)
    page[CHECKSUM_AT : CHECKSUM_AT + 4] = int(google_crc32c.value(bytes(page))).to_bytes(4, "little")
    with contextlib.suppress(DamagedError, UnsupportedError):
        found, copy = parse_label(bytes(page))
        assert build_label(found, copy) == bytes(page)


@given(labels(), st.integers(0, 8), st.booleans())
def test_a_rewrite_that_is_torn_by_sectors_leaves_a_label(label: Label, sectors: int, is_last: bool) -> None:
    """At any moment of writing the newer label one of the two is read; the newer one once its first copy is whole."""
    older = replace(label, generation=min(label.generation, (1 << 64) - 2))
    newer = replace(older, generation=older.generation + 1, name="other-name")
    old, new = (build_label(older, 0), build_label(older, 1)), (build_label(newer, 0), build_label(newer, 1))
    torn = new[is_last][: sectors * 512] + old[is_last][sectors * 512 :]
    first, last = (new[0], torn) if is_last else (torn, old[1])
    reading = choose_copy(first, last, label.size)
    assert reading.label in (older, newer)
    if is_last or sectors == 8:
        assert reading.label == newer


@given(st.binary(max_size=600), st.binary(max_size=600), st.integers(0, 1 << 50))
def test_signatures_of_any_bytes(head: bytes, tail: bytes, size: int) -> None:
    for each in find_signatures(head, tail, size):
        assert each.offset >= 0
