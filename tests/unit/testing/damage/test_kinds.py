"""Every kind of damage, to every part that it fits: it changes what it tells, and our check finds and names it. What
only hides room is told in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from drystone.base.errors import DamagedError, NotFoundError, UsageError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.damage.examples import EXAMPLES, make_era_example, make_thin_example
from drystone.testing.damage.sites import Anatomy
from drystone.testing.damage.table import KINDS, READERS, Target, apply_damage, flip_bits, list_places, plan_damage
from drystone.testing.damage.verdict import judge, only_hides_room

TARGETS: tuple[Target, ...] = ("thin", "era")


@dataclass(frozen=True, slots=True)
class Example:
    data: bytes
    anatomy: Anatomy


@cache
def get_examples(target: Target) -> list[Example]:
    images = [make() for make in EXAMPLES[target]]
    return [Example(data, READERS[target](MemoryBlocks(data))) for data in images]


def find_example(target: Target, name: str) -> Example:
    return next(each for each in get_examples(target) if list_places(each.anatomy, KINDS[target][name]))


CASES = [(target, name) for target in TARGETS for name in KINDS[target]]


@pytest.mark.parametrize("target", TARGETS)
def test_the_examples_are_sound(target: Target) -> None:
    for example in get_examples(target):
        assert judge(target, MemoryBlocks(example.data)).lines == ()


@pytest.mark.parametrize(("target", "name"), CASES)
def test_the_check_finds_and_names_it(target: Target, name: str) -> None:
    example = find_example(target, name)
    parts = sorted({site.part for site in list_places(example.anatomy, KINDS[target][name])})
    for part in parts:
        for seed in range(3):
            plan = plan_damage(target, name, MemoryBlocks(example.data), seed=seed, part=part, anatomy=example.anatomy)
            damaged = apply_damage(plan, example.data)
            assert damaged != example.data
            verdict = judge(target, MemoryBlocks(damaged))
            assert verdict.sound == only_hides_room(plan), plan.changes
            assert verdict.named & set(plan.named), (part, seed, plan.changes, plan.named, verdict.lines[:3])


@pytest.mark.parametrize(("target", "name"), CASES)
def test_what_is_told_is_what_is_changed(target: Target, name: str) -> None:
    example = find_example(target, name)
    plan = plan_damage(target, name, MemoryBlocks(example.data), seed=7, anatomy=example.anatomy)
    damaged = apply_damage(plan, example.data)
    assert len(damaged) == plan.size
    told = {each.block for each in plan.changes if each.block >= 0}
    for number in range(len(damaged) // BLOCK):
        at = slice(number * BLOCK, (number + 1) * BLOCK)
        assert (damaged[at] != example.data[at]) == (number in told)
    assert set(plan.blocks) == told


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_repeats_itself(target: Target) -> None:
    data = get_examples(target)[0].data
    plans = [plan_damage(target, "zeroed", MemoryBlocks(data), seed=seed) for seed in (1, 1, 2, 3, 4)]
    assert plans[0] == plans[1]
    assert len({plan.block for plan in plans}) > 1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rate", [1e-9, 1e-4])
def test_flipped_bits_are_all_found(target: Target, rate: float) -> None:
    data = get_examples(target)[0].data
    plan = flip_bits(target, MemoryBlocks(data), rate=rate, seed=1)
    damaged = apply_damage(plan, data)
    flipped = sum((a ^ b).bit_count() for a, b in zip(data, damaged, strict=True))
    assert flipped == len(plan.changes) > 0
    assert not judge(target, MemoryBlocks(damaged)).sound


def test_an_unknown_kind_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no damage 'rot' to thin"):
        plan_damage("thin", "rot", MemoryBlocks(make_thin_example()))


def test_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="fits no era array"):
        plan_damage("thin", "zeroed", MemoryBlocks(make_thin_example()), part="era array")


def test_only_sound_metadata_is_damaged() -> None:
    data = make_era_example()
    plan = plan_damage("era", "checksum", MemoryBlocks(data), part="era array")
    with pytest.raises(DamagedError, match=f"block {plan.block}: era array is damaged already"):
        plan_damage("era", "checksum", MemoryBlocks(apply_damage(plan, data)))


def test_the_other_metadata_is_refused() -> None:
    with pytest.raises(DamagedError, match="block 0"):
        plan_damage("era", "checksum", MemoryBlocks(make_thin_example()))
