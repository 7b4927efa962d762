"""Which packs are rewritten."""

from __future__ import annotations

import pytest

from drystone.backup.collecting.choice import MANY, Limits, PackUse, choose
from drystone.backup.format.pack import HEADER, INDEX, TRAILER, Kind
from drystone.base.errors import UsageError

MIB = 1 << 20
FULL = 32 * MIB


def use(number: int, size: int, used: float, kind: Kind = Kind.CHUNK) -> PackUse:
    """One record of a part of the pack."""
    over = HEADER + TRAILER + INDEX.itemsize
    return PackUse(number.to_bytes(16, "big"), kind, size + over, 1, int(size * used))


def numbers(packs: list[PackUse]) -> list[int]:
    return [int.from_bytes(each.pack, "big") for each in packs]


def test_nothing_is_rewritten_while_little_is_unused() -> None:
    assert choose([use(number, FULL, 0.95) for number in range(10)], Limits(), FULL) == []
    assert choose([], Limits(), FULL) == []


def test_the_emptiest_go_first_until_the_rest_is_little() -> None:
    packs = [
        use(0, FULL, 1.0),
        use(1, FULL, 0.9),
        use(2, FULL, 0.1),
        use(3, FULL, 0.5),
        *(use(n, FULL, 1) for n in (4, 5)),
    ]
    assert numbers(choose(packs, Limits(max_unused=0.15), FULL)) == [2]
    assert numbers(choose(packs, Limits(), FULL)) == [2, 3]
    assert numbers(choose(packs, Limits(max_unused=0), FULL)) == [2, 3, 1]
    assert choose(packs, Limits(max_unused=1), FULL) == []


def test_a_budget_bounds_what_is_copied() -> None:
    packs = [use(number, FULL, 0.5) for number in range(10)]
    assert len(choose(packs, Limits(max_unused=0, max_rewrite=FULL), FULL)) == 2
    assert choose(packs, Limits(max_unused=0, max_rewrite=0), FULL) == []


def test_many_small_packs_of_a_kind_and_size_are_merged() -> None:
    small = [use(number, MIB, 1) for number in range(MANY)]
    assert numbers(choose(small, Limits(), FULL)) == list(range(MANY))
    assert choose(small[1:], Limits(), FULL) == []
    assert choose(small, Limits(merge=False), FULL) == []
    assert choose([*small[1:], use(99, MIB, 1, Kind.SEGMENT)], Limits(), FULL) == []
    assert choose([*small[1:], use(99, MIB // 64, 1)], Limits(), FULL) == []
    assert choose([use(number, FULL // 2, 1) for number in range(MANY)], Limits(), FULL) == []


def test_a_budget_that_ends_in_a_merge_copies_no_single_pack() -> None:
    small = [use(number, MIB, 1) for number in range(MANY)]
    assert choose(small, Limits(max_rewrite=MIB), FULL) == []
    assert len(choose(small, Limits(max_rewrite=5 * MIB), FULL)) == 5


@pytest.mark.parametrize("wrong", [{"max_unused": -0.1}, {"max_unused": 1.1}, {"max_rewrite": -1}])
def test_wrong_limits(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Limits(**wrong)  # type: ignore[arg-type]
