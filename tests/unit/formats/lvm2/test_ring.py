from __future__ import annotations

import time

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.area import Location, parse_area_header
from drystone.formats.lvm2.ring import FoundText, check_text, find_texts, pieces
from drystone.testing.lvm2_metadata import checksum, write_area, write_text

SIZE = 8192
TEXTS = [write_text({}, seqno=number) for number in range(1, 4)]
LENGTH = 1024
"""Bytes of the ring that each of TEXTS takes."""


def test_one_stretch_or_two() -> None:
    assert pieces(Location(512, 100, 0), SIZE) == ((512, 100),)
    assert pieces(Location(SIZE - 100, 100, 0), SIZE) == ((SIZE - 100, 100),)
    assert pieces(Location(SIZE - 99, 100, 0), SIZE) == ((SIZE - 99, 99), (512, 1))
    assert pieces(Location(1024, SIZE - 512, 0), SIZE) == ((1024, SIZE - 1024), (512, 512))


@pytest.mark.parametrize(
    "location",
    [Location(511, 1, 0), Location(SIZE, 1, 0), Location(512, SIZE - 511, 0), Location(1 << 63, 1 << 63, 0)],
)
def test_places_that_cannot_be(location: Location) -> None:
    with pytest.raises(DamagedError, match="is not within its area"):
        pieces(location, SIZE)


def test_a_text_longer_than_is_read() -> None:
    with pytest.raises(DamagedError, match="is longer than"):
        pieces(Location(512, (16 << 20) + 1, 0), 1 << 40)


def test_what_is_read_is_held_against_its_checksum() -> None:
    data = b"text\0"
    assert check_text(data, Location(512, 5, checksum(data))) == b"text"
    with pytest.raises(DamagedError, match="has the checksum"):
        check_text(data, Location(512, 5, 0))
    with pytest.raises(DamagedError, match="has no end"):
        check_text(b"text", Location(512, 4, checksum(b"text")))


def test_texts_in_a_ring() -> None:
    assert {-(-len(text) // 512) * 512 for text in TEXTS} == {LENGTH}
    found = list(find_texts(write_area(TEXTS, size=SIZE)))
    assert found == [FoundText(512 + LENGTH * n, text) for n, text in enumerate(TEXTS)]


def test_a_text_that_goes_on_at_the_beginning() -> None:
    area = write_area(TEXTS, size=SIZE, first=SIZE - 512)
    header = parse_area_header(area[:512], 4096)
    assert header.committed is not None
    assert list(find_texts(area)) == [
        FoundText(1024, TEXTS[1]),
        FoundText(1024 + LENGTH, TEXTS[2]),
        FoundText(SIZE - 512, TEXTS[0], wrapped=True),
    ]
    assert [each.data for each in find_texts(area, wraps=False)][-1] == TEXTS[0][:512]


def test_a_beginning_that_lies_across_the_end() -> None:
    text = write_text({})
    area = write_area([text], size=SIZE + 20, first=SIZE)
    assert list(find_texts(area)) == [FoundText(SIZE, text, wrapped=True)]


def test_a_text_ends_where_another_begins() -> None:
    area = bytearray(write_area(TEXTS[:1], size=SIZE))
    area[512 + 512 : 512 + 512 + len(TEXTS[1])] = TEXTS[1]
    assert list(find_texts(bytes(area))) == [FoundText(512, TEXTS[0][:512]), FoundText(1024, TEXTS[1])]


def test_texts_begin_with_a_sector() -> None:
    assert list(find_texts(bytes(700) + TEXTS[0], begin=0)) == []
    assert [each.offset for each in find_texts(bytes(1024) + TEXTS[0], begin=0, wraps=False)] == [1024]


def test_no_texts() -> None:
    assert list(find_texts(b"")) == []
    assert list(find_texts(bytes(SIZE))) == []
    assert list(find_texts(b"vg {" * SIZE)) == []


def test_an_area_full_of_beginnings_is_read_once() -> None:
    begun = time.process_time()
    area = TEXTS[0][:200].ljust(512, b"x") * 8192
    found = list(find_texts(area, begin=0))
    assert len(found) == 8192
    assert {len(each.data) for each in found} == {512}
    assert time.process_time() - begun < 60  # it would take hours if each went on to the end
