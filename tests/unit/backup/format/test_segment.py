"""Segments of a map go round, and wrong ones are refused."""

from __future__ import annotations

import pytest

from drystone.backup.format import segment as segments
from drystone.backup.format.digest import NOTHING, Hasher, checksum
from drystone.backup.format.pack import (
    Place,
)
from drystone.backup.format.segment import Segment
from drystone.base.errors import DamagedError


def make_segment(slots: int = 20) -> Segment:
    segment = Segment.empty(3, slots)
    for slot in (0, 5, 6, slots - 1):
        segment.put(slot, checksum(b"%d" % slot), Place(bytes([slot]) * 16, 32 + slot, 100 + slot))
    return segment


def test_segments_go_round() -> None:
    segment = make_segment()
    again = segments.parse(segments.encode(segment), 3, 20)
    assert again.digest(Hasher()) == segment.digest(Hasher())
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


@pytest.mark.parametrize(("field", "value"), [("offset", 31), ("length", 48), ("offset", 1 << 30)])
def test_chunks_at_places_that_are_none_are_refused(field: str, value: int) -> None:
    segment = make_segment()
    getattr(segment, field)[5] = value
    with pytest.raises(DamagedError, match="refers to a p"):
        segments.parse(segments.encode(segment), 3, 20)


def test_a_slot_whose_leaf_is_zero_is_refused() -> None:
    segment = make_segment()
    segment.leaves[5] = 0
    with pytest.raises(DamagedError, match="leaf is zero"):
        segments.parse(segments.encode(segment), 3, 20)


def test_marks_that_are_not_those_of_its_rows_are_refused() -> None:
    data = bytearray(segments.encode(make_segment()))
    for mark in range(24):
        data[16 + mark // 8] ^= 1 << mark % 8
        with pytest.raises(DamagedError, match="marks"):
            segments.parse(bytes(data), 3, 20)
        data[16 + mark // 8] ^= 1 << mark % 8
    data[16] ^= 1
    data[18] ^= 1 << 7
    with pytest.raises(DamagedError, match="marks"):
        segments.parse(bytes(data), 3, 20)
