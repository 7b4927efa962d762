"""Labels: values to pages and back, and which of two copies counts."""

from __future__ import annotations

from uuid import UUID

import google_crc32c
import pytest
from msgspec.structs import replace

from drystone.base.errors import DamagedError, UnsupportedError, UsageError
from drystone.formats.label.label import (
    FIRST,
    LAST,
    Extent,
    Label,
    build_label,
    check_regions,
    choose_copy,
    last_page,
    parse_label,
)
from drystone.formats.label.layout import CHECKSUM_AT, MOST_LISTED, PAGE

GROUP = "6f1b0f8e-5f0c-4f39-9a5f-0c7a5bb1a001"
ONE = "6f1b0f8e-5f0c-4f39-9a5f-0c7a5bb1a002"
TWO = "6f1b0f8e-5f0c-4f39-9a5f-0c7a5bb1a003"
SIZE = 1 << 20
LABEL = Label(GROUP, "vg", ONE, SIZE, (Extent(1, 33), Extent(40, 60)), 3, 2, (ONE, TWO))
EMPTY = bytes(PAGE)


def with_checksum(page: bytes) -> bytes:
    plain = page[:CHECKSUM_AT] + bytes(4) + page[CHECKSUM_AT + 4 :]
    return page[:CHECKSUM_AT] + int(google_crc32c.value(plain)).to_bytes(4, "little") + page[CHECKSUM_AT + 4 :]


@pytest.mark.parametrize("copy", [FIRST, LAST])
def test_a_label_comes_back(copy: int) -> None:
    assert parse_label(build_label(LABEL, copy)) == (LABEL, copy)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 4096}, "no room"),
        ({"generation": 0}, "generation"),
        ({"members": 0, "listed": ()}, "number of devices"),
        ({"members": 3}, "does not fit"),
        ({"listed": (TWO, ONE)}, "ascending"),
        ({"listed": (GROUP, TWO)}, "does not fit"),
        ({"group": "x"}, "no uuid"),
        ({"device": GROUP.upper()}, "usual spelling"),
        ({"device": "00000000-0000-0000-0000-000000000000", "listed": ()}, "usual spelling"),
        ({"name": "v"}, "not valid"),
        ({"name": "é" * 3}, "not valid"),
    ],
)
def test_a_label_that_cannot_be_is_not_built(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_label(replace(LABEL, **change), FIRST)  # wrong on purpose


@pytest.mark.parametrize(
    ("field", "most", "words"),
    [
        ("size", (1 << 63) - 1, "size"),
        ("generation", (1 << 64) - 1, "generation"),
        ("members", (1 << 32) - 1, "number"),
    ],
)
def test_numbers_have_their_limits(field: str, most: int, words: str) -> None:
    label = replace(LABEL, listed=())
    largest = replace(label, **{field: most})  # each is a number
    assert parse_label(build_label(largest, FIRST))[0] == largest
    with pytest.raises(UsageError, match=f"{most + 1} is no {words}"):
        build_label(replace(label, **{field: most + 1}), FIRST)


def test_the_smallest_device() -> None:
    small = replace(LABEL, size=3 * PAGE, regions=(Extent(1, 2),))
    assert parse_label(build_label(small, LAST)) == (small, LAST)
    with pytest.raises(UsageError, match="no room"):
        build_label(replace(small, size=3 * PAGE - 1, regions=()), LAST)


@pytest.mark.parametrize("page", [b"", EMPTY, build_label(LABEL, FIRST)[:-1], build_label(LABEL, FIRST) + b"\0"])
def test_what_is_no_page_with_a_label(page: bytes) -> None:
    with pytest.raises(DamagedError, match="there is no label"):
        parse_label(page)


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ([Extent(0, 9)], "does not fit"),
        ([Extent(250, 256)], "does not fit"),
        ([Extent(5, 5)], "does not fit"),
        ([Extent(1, 9), Extent(8, 12)], "overlaps"),
        ([Extent(20, 30), Extent(1, 9)], "overlaps"),
        ([Extent(n, n + 1) for n in range(1, 34)], "more than the 32"),
    ],
)
def test_regions_lie_between_the_labels_and_apart(regions: list[Extent], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_regions(regions, SIZE)


def test_the_last_page_of_a_size_that_is_no_multiple() -> None:
    assert last_page(3 * PAGE + 5) == 2 * PAGE
    check_regions([Extent(1, 2)], 3 * PAGE + 5)
    with pytest.raises(UsageError):
        check_regions([Extent(1, 3)], 3 * PAGE + 5)


def test_every_byte_counts() -> None:
    page = build_label(LABEL, FIRST)
    for at in range(0, PAGE, 7):
        torn = page[:at] + bytes([page[at] ^ 0x10]) + page[at + 1 :]
        with pytest.raises(DamagedError):
            parse_label(torn)


@pytest.mark.parametrize(
    ("at", "data", "words"),
    [
        (24, b"\x02", "nobody wrote"),
        (90, b"\x01", "nobody wrote"),
        (200, b"x", "nobody wrote"),
        (84, b"\xff\xff", "more than it has room for"),
        (86, b"\xff\xff", "more than it has room for"),
        (88, b"\xff\xff", "more than it has room for"),
        (224, b"\x00", "wrong"),
        (96, b"\xff", "wrong"),
        (32, bytes(16), "usual spelling"),
        (736, UUID(TWO).bytes + UUID(ONE).bytes, "ascending"),
        (736, UUID(ONE).bytes * 2, "ascending"),
    ],
)
def test_a_right_checksum_is_not_enough(at: int, data: bytes, words: str) -> None:
    page = build_label(LABEL, FIRST)
    with pytest.raises(DamagedError, match=words):
        parse_label(with_checksum(page[:at] + data + page[at + len(data) :]))


def test_a_later_version_is_told_apart_from_damage() -> None:
    page = build_label(LABEL, FIRST)
    later = with_checksum(page[:20] + b"\x02" + page[21:])
    with pytest.raises(UnsupportedError, match="version 2"):
        parse_label(later)
    assert choose_copy(later, EMPTY, SIZE).problem.startswith("label version 2")


def test_both_copies_agree() -> None:
    reading = choose_copy(build_label(LABEL, FIRST), build_label(LABEL, LAST), SIZE)
    assert reading.label == LABEL
    assert reading.is_whole


@pytest.mark.parametrize("page", [EMPTY, build_label(LABEL, FIRST)[:512] + bytes(PAGE - 512), b"x" * PAGE])
def test_one_copy_is_enough(page: bytes) -> None:
    for first, last in ((page, build_label(LABEL, LAST)), (build_label(LABEL, FIRST), page)):
        reading = choose_copy(first, last, SIZE)
        assert reading.label == LABEL
        assert not reading.is_whole


def test_of_two_generations_the_higher_one_counts() -> None:
    newer = replace(LABEL, generation=4)
    assert choose_copy(build_label(newer, FIRST), build_label(LABEL, LAST), SIZE).label == newer
    assert choose_copy(build_label(LABEL, FIRST), build_label(newer, LAST), SIZE).label == newer


def test_what_stood_there_before_does_not_count() -> None:
    other = replace(LABEL, device=TWO, generation=9)
    reading = choose_copy(build_label(LABEL, FIRST), build_label(other, LAST), SIZE)
    assert (reading.label, reading.last) == (LABEL, "elsewhere")


def test_a_copy_at_another_ones_place_does_not_count() -> None:
    assert choose_copy(EMPTY, build_label(LABEL, FIRST), SIZE).label is None
    assert choose_copy(build_label(LABEL, LAST), EMPTY, SIZE).label is None


def test_the_last_copy_of_a_disk_is_not_its_last_partitions() -> None:
    assert choose_copy(EMPTY, build_label(LABEL, LAST), SIZE - PAGE).label is None
    assert choose_copy(build_label(LABEL, FIRST), EMPTY, 2 * SIZE).label == LABEL


def test_two_torn_copies_are_a_problem_and_nothing_at_all_is_none() -> None:
    torn = build_label(LABEL, FIRST)[:100].ljust(PAGE, b"\0")
    assert choose_copy(torn, torn, SIZE).problem == "the label's checksum is wrong"
    assert choose_copy(EMPTY, EMPTY, SIZE).problem == ""


def test_as_many_devices_as_fit() -> None:
    uuids = tuple(sorted(f"6f1b0f8e-5f0c-4f39-9a5f-{number:012x}" for number in range(1, MOST_LISTED + 1)))
    full = replace(LABEL, device=uuids[0], members=MOST_LISTED, listed=uuids)
    assert parse_label(build_label(full, FIRST))[0] == full
    more = tuple(sorted([*uuids, TWO]))
    with pytest.raises(UsageError):
        build_label(replace(full, members=MOST_LISTED + 1, listed=more), FIRST)
