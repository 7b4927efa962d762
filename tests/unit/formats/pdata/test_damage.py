"""Damage as words, as an error, and what it leaves over of a range."""

from __future__ import annotations

import pytest

from drystone.formats.pdata.damage import Damage, LostKeys, describe_damage


def lose(low: int, high: int) -> Damage:
    return Damage(1, "tree", "checksum", 1, 2, low, high)


def test_words_with_and_without_an_owner() -> None:
    damage = Damage(17, "mapping tree", "checksum", 5, 6, owner=3)
    assert damage.describe() == "block 17: mapping tree 3: checksum is 6, expected 5"
    assert not damage.loses
    error = damage.to_error()
    assert error.message == damage.describe()
    assert (error.facts["block"], error.facts["expected"], error.facts["found"], error.facts["owner"]) == (17, 5, 6, 3)


def test_an_error_without_a_tree() -> None:
    error = describe_damage(3, "size", expected=1, found=2)
    assert error.message == "block 3: size is 2, expected 1"


@pytest.mark.parametrize(
    ("ranges", "gaps"),
    [
        ([], [(10, 20)]),
        ([(0, 30)], []),
        ([(0, 9), (20, 30)], [(10, 20)]),
        ([(12, 13), (15, 15)], [(10, 12), (14, 15), (16, 20)]),
        ([(15, 25), (0, 11)], [(12, 15)]),
        ([(14, 13)], [(10, 20)]),
        ([(10, 15), (12, 17)], [(18, 20)]),
    ],
)
def test_gaps_between_damages(ranges: list[tuple[int, int]], gaps: list[tuple[int, int]]) -> None:
    assert LostKeys(lose(*each) for each in ranges).list_gaps(10, 20) == gaps
