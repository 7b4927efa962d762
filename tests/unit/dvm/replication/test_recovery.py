"""The decision of recovery, as a function of what regions hold."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from drystone.base.errors import MismatchError
from drystone.dvm.replication.recovery import Standing, Step, decide
from drystone.formats.region.slots import Root, Slot
from drystone.formats.region.transactions import Change, first_change, next_change

T0 = first_change(UUID(int=1))
T1 = next_change(T0, b"one")
T2 = next_change(T1, b"two")
T3 = next_change(T2, b"three")
OTHER2 = next_change(T1, b"another two")
OTHER3 = next_change(OTHER2, b"another three")


def root(change: Change) -> Root:
    return Root(change.sequence, change.length, 1, change.hash, change.parent, bytes(32))


def at(*line: Change, after: Change | None = None, gave_up: tuple[Change, ...] = (), count: int = 0) -> Standing:
    """A region at the first of `line`, newest first, prepared for `after`."""
    slot = Slot(
        UUID(int=1),
        UUID(int=2),
        1,
        16,
        4,
        root(line[0]),
        root(after) if after else None,
        tuple(each.hash for each in gave_up),
        count or len(gave_up),
    )
    return Standing("somewhere", slot, line)


def steps(*standings: Standing) -> tuple[Step, ...]:
    return decide(standings).steps


def test_regions_that_agree_are_left_alone() -> None:
    assert steps(at(T1, T0), at(T1, T0)) == (Step.KEEP, Step.KEEP)


def test_one_commit_takes_all_prepared_ones_forward() -> None:
    assert steps(at(T2, T1), at(T1, T0, after=T2), at(T1, after=T2)) == (Step.KEEP, Step.FORWARD, Step.FORWARD)


def test_without_a_commit_all_go_back() -> None:
    assert steps(at(T1, after=T2), at(T1), at(T1, after=T2)) == (Step.BACK, Step.KEEP, Step.BACK)


def test_different_preparations_go_back() -> None:
    assert steps(at(T1, after=T2), at(T1, after=OTHER2)) == (Step.BACK, Step.BACK)


def test_the_head_goes_back_when_it_is_prepared_again() -> None:
    assert steps(at(T2, T1, after=T3), at(T1, after=T2)) == (Step.BACK, Step.FORWARD)


def test_a_region_that_is_behind_is_copied() -> None:
    assert steps(at(T3, T2, T1), at(T1, T0), at(T1, after=T2)) == (Step.KEEP, Step.COPY, Step.COPY)


def test_what_lies_between_may_be_known_to_another_region_only() -> None:
    assert steps(at(T3, T2), at(T2, T1, T0), at(T0)) == (Step.KEEP, Step.COPY, Step.COPY)


def test_a_damaged_slot_is_mended() -> None:
    assert steps(replace(at(T1, T0), is_whole=False), at(T1)) == (Step.MEND, Step.KEEP)


@pytest.mark.parametrize(
    "standings",
    [
        (at(T2, T1), at(OTHER2, T1)),
        (at(T3, T2, T1), at(OTHER2, T1)),
        (at(OTHER3, OTHER2, T1), at(T2, T1)),
        (at(T3, T2), at(T0)),
        (at(T2, T1), at(next_change(T0, b"x"), T0), at(T1)),
    ],
)
def test_forks_and_what_may_be_one_are_refused(standings: tuple[Standing, ...]) -> None:
    for order in (standings, standings[::-1]):
        with pytest.raises(MismatchError, match="not of one line"):
            decide(order)


def test_what_was_rolled_back_does_not_come_back() -> None:
    with pytest.raises(MismatchError, match="rolled back transaction 2"):
        decide([at(T2, T1), at(T1, gave_up=(T2,))])


def test_more_rollbacks_than_are_remembered_are_doubt() -> None:
    with pytest.raises(MismatchError, match="rolled back"):
        decide([at(T2, T1), at(T1, gave_up=(OTHER2,), count=5)])


def test_other_rollbacks_do_not_matter() -> None:
    assert steps(at(T2, T1), at(T1, gave_up=(OTHER2,))) == (Step.KEEP, Step.COPY)


def test_who_is_prepared_for_it_again_goes_forward() -> None:
    assert steps(at(T2, T1), at(T1, after=T2, gave_up=(T2,))) == (Step.KEEP, Step.FORWARD)


def test_a_decision_that_was_carried_out_in_part_stays() -> None:
    assert steps(at(T2, T1), at(T2, T1), at(T1, after=T2)) == (Step.KEEP, Step.KEEP, Step.FORWARD)
    assert steps(at(T1, gave_up=(T2,)), at(T1, after=T2)) == (Step.KEEP, Step.BACK)
