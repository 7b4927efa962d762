from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.region.drafts import first_root
from drystone.formats.region.slots import PageZero, Slot, build_slot, first_page_zero, parse_page_zero, require_pages
from drystone.formats.region.transactions import first_change

GROUP = UUID(int=1)
ROOT, _ = first_root(first_change(GROUP))
SLOT = Slot(GROUP, UUID(int=2), 1, 16, 2, ROOT)
NEXT = replace(ROOT, sequence=1, page=2, hash=b"n" * 32, parent=ROOT.hash)


def parse(data: bytes) -> PageZero:
    found = parse_page_zero(data)
    assert found is not None
    return found


def test_a_new_region_is_whole() -> None:
    found = parse(first_page_zero(SLOT))
    assert found.current == SLOT
    assert not found.problem


def test_slots_take_turns_and_the_younger_one_is_current() -> None:
    found = parse(first_page_zero(SLOT))
    for generation in range(2, 7):
        slot = replace(SLOT, generation=generation, next=NEXT if generation % 2 else None)
        before = found.current
        data = found.with_slot(slot)
        found = parse(data)
        assert found.current == slot
        assert not found.problem
        assert before is not None
        assert build_slot(before) in data


def test_zeros_and_other_bytes_are_not_formatted() -> None:
    assert parse_page_zero(bytes(4096)) is None
    assert parse_page_zero(b"\xa5" * 4096) is None


@pytest.mark.parametrize("at", [0, 20, 511])
def test_a_torn_slot_leaves_the_other_one_to_recovery(at: int) -> None:
    data = bytearray(parse(first_page_zero(SLOT)).with_slot(replace(SLOT, generation=2)))
    data[2048 + at] ^= 1
    found = parse(bytes(data))
    assert found.current == SLOT
    assert "slot 1" in found.problem


def test_two_torn_slots_leave_nothing() -> None:
    data = bytearray(parse(first_page_zero(SLOT)).with_slot(replace(SLOT, generation=2)))
    data[20] ^= 1
    data[2048 + 20] ^= 1
    found = parse(bytes(data))
    assert found.current is None
    assert found.problem == "neither slot is valid"


def test_an_empty_slot_is_right_only_beside_the_first_generation() -> None:
    data = first_page_zero(replace(SLOT, generation=3))
    assert parse(data).problem == "slot 1 is not valid"


def test_a_write_that_was_lost_is_seen() -> None:
    data = parse(first_page_zero(SLOT)).with_slot(replace(SLOT, generation=4))
    assert parse(data).problem == "a slot that was written is not there"


def test_slots_of_two_regions_are_seen() -> None:
    data = parse(first_page_zero(SLOT)).with_slot(replace(SLOT, generation=2, region=UUID(int=3)))
    assert parse(data).problem == "the slots are of two regions"


def test_a_slot_in_the_wrong_place_is_seen() -> None:
    assert "belongs into the other" in parse(first_page_zero(replace(SLOT, generation=2))).problem


def test_a_slot_with_a_right_checksum_that_cannot_be_is_left_alone() -> None:
    data = parse(first_page_zero(SLOT)).with_slot(replace(SLOT, generation=2, keep=0))
    found = parse(data)
    assert found.current is None
    assert "cannot be" in found.problem


def test_another_size_is_refused() -> None:
    require_pages(SLOT, 16, "here")
    with pytest.raises(DamagedError, match="has 17 pages, and was formatted with 16"):
        require_pages(SLOT, 17, "here")
