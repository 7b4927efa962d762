from __future__ import annotations

from typing import Any
from uuid import UUID

import google_crc32c
import pytest
from msgspec.structs import replace

from drystone.base.errors import DamagedError
from drystone.formats.region.drafts import first_root
from drystone.formats.region.slots import (
    MOST_ROLLED_BACK,
    PageZero,
    Slot,
    build_slot,
    first_page_zero,
    parse_page_zero,
    parse_slot,
    require_pages,
)
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


def test_the_slot_that_is_not_valid_is_named() -> None:
    data = bytearray(parse(first_page_zero(SLOT)).with_slot(replace(SLOT, generation=2)))
    data[20] ^= 1
    found = parse(bytes(data))
    assert found.current == replace(SLOT, generation=2)
    assert found.problem == "slot 0 is not valid"


LIMITS: list[tuple[dict[str, Any], bool]] = [
    ({"keep": 1}, False), ({"keep": 2}, True), ({"keep": 31}, True), ({"keep": 32}, False),
    ({"generation": 0}, False), ({"generation": (1 << 64) - 2}, True), ({"generation": (1 << 64) - 1}, False),
    ({"committed": replace(ROOT, page=0)}, False), ({"committed": replace(ROOT, page=15)}, True),
    ({"committed": replace(ROOT, page=16)}, False),
    ({"committed": replace(ROOT, length=64 << 20)}, True), ({"committed": replace(ROOT, length=(64 << 20) + 1)}, False),
    ({"next": NEXT}, True), ({"next": replace(NEXT, page=16)}, False), ({"next": replace(NEXT, page=0)}, False),
    ({"next": replace(NEXT, sequence=2)}, False), ({"next": replace(NEXT, sequence=0)}, False),
    ({"next": replace(NEXT, parent=b"p" * 32)}, False), ({"next": replace(NEXT, length=(64 << 20) + 1)}, False),
    ({"rolled_back": (b"r" * 32,), "rolled_back_count": MOST_ROLLED_BACK}, True),
    ({"rolled_back": (b"r" * 32,)}, False), ({"rolled_back_count": 1}, False),
    ({"rolled_back": (b"r" * 32, b"s" * 32, b"t" * 32, b"u" * 32), "rolled_back_count": 4}, True),
]  # fmt: skip


@pytest.mark.parametrize(("change", "is_valid"), LIMITS)
def test_the_limits_of_a_slot(change: dict[str, Any], is_valid: bool) -> None:
    slot = replace(SLOT, **change)
    assert parse_slot(build_slot(slot)) == (slot if is_valid else None)


def test_a_clean_slot_holds_nothing_of_a_next_root() -> None:
    clean, prepared = build_slot(SLOT), build_slot(replace(SLOT, next=NEXT))
    body = clean[:192] + prepared[192:320] + clean[320:508]
    sealed = body + int(google_crc32c.value(body)).to_bytes(4, "little")
    assert parse_slot(clean) is not None
    assert parse_slot(sealed) is None
    other_state = body[:10] + b"\2" + body[11:]
    assert parse_slot(other_state + int(google_crc32c.value(other_state)).to_bytes(4, "little")) is None


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
    data = data[:2056] + b"\2" + data[2057:2556]
    found = parse((data + int(google_crc32c.value(data[2048:])).to_bytes(4, "little")).ljust(4096, b"\0"))
    assert found.current is None
    assert found.problem == "slot 1 is of version 2 of the format, and version 1 is read here"


def test_another_size_is_refused() -> None:
    require_pages(SLOT, 16, "here")
    with pytest.raises(DamagedError, match="has 17 pages, and was formatted with 16"):
        require_pages(SLOT, 17, "here")
