"""What one server may do for a placement, and when."""

from __future__ import annotations

import msgspec
import pytest

from drystone.fleet.documents import Member, MemberState, Placement
from drystone.fleet.replica import PROMISE_SECONDS, Replica, make_seq

STARTED = 100.0
LATER = STARTED + PROMISE_SECONDS


def placement(epoch: int = 5, leader: str = "s1", second: MemberState = "in_sync") -> Placement:
    members = (Member("s1", "data_1", "d1", "primary", "in_sync"), Member("s2", "data_1", "d2", "secondary", second))
    return Placement("p", "ns", "h", "h", "shared", epoch, leader, members)


def replica(server: str = "s1", **more: str) -> Replica:
    return Replica(placement(**more), server, started=STARTED)  # type: ignore[arg-type]


def test_a_later_change_has_a_greater_number_whatever_the_epoch() -> None:
    assert make_seq(1, 5) < make_seq(1, 6) < make_seq(2, 0) < make_seq(2**23 - 1, 2**40 - 1) < 2**63


def test_after_a_start_nothing_is_written_until_a_forgotten_promise_has_run_out() -> None:
    each = replica(second="copying")
    assert not each.may_write(LATER - 0.01)
    assert each.may_write(LATER)
    assert each.may_read(LATER), "nobody else may be made leader"


def test_a_leader_reads_while_all_that_are_in_sync_promise() -> None:
    each = replica()
    assert not each.may_read(LATER)
    each.promised_by("s2", 5, LATER)
    assert each.may_read(LATER + PROMISE_SECONDS - 0.01)
    assert not each.may_read(LATER + PROMISE_SECONDS)
    assert each.may_write(LATER + PROMISE_SECONDS)


def test_who_compares_itself_may_be_made_leader_so_its_promise_is_needed_too() -> None:
    each = replica(second="comparing")
    assert not each.may_read(LATER)
    each.promised_by("s2", 5, LATER)
    assert each.may_read(LATER)


def test_a_promise_of_another_epoch_counts_for_nothing() -> None:
    each = replica()
    each.promised_by("s2", 4, LATER)
    assert not each.may_read(LATER)
    each.promised_by("s2", 5, LATER)
    assert each.learn(placement(6))
    assert not each.may_read(LATER)


def test_who_promised_does_not_write_before_that_has_run_out() -> None:
    each = replica("s2")
    assert each.promise(5, "s1", LATER)
    assert each.learn(placement(6, "s2", "copying"))
    assert not each.may_write(LATER + PROMISE_SECONDS - 0.01)
    assert each.may_write(LATER + PROMISE_SECONDS)


@pytest.mark.parametrize(
    ("server", "epoch", "leader", "accepted"),
    [
        ("s2", 5, "s1", True),
        ("s2", 4, "s1", False),
        ("s2", 6, "s1", False),
        ("s2", 5, "s3", False),
        ("s1", 5, "s1", False),
    ],
)
def test_only_the_leader_of_the_epoch_is_obeyed(server: str, epoch: int, leader: str, *, accepted: bool) -> None:
    each = replica(server)
    assert each.accepts(epoch, leader) is accepted
    assert each.promise(epoch, leader, LATER) is accepted
    each.learn(placement(7, server, "copying"))
    assert each.may_write(LATER) is not accepted


def test_older_and_other_placements_are_not_learned() -> None:
    each = replica()
    for old in (placement(5, "s2"), placement(4, "s2"), msgspec.structs.replace(placement(9, "s2"), id="other")):
        assert not each.learn(old)
    assert each.leads()
    assert each.learn(placement(6, "s2"))
    assert not each.leads()


def test_who_caught_up_counts_as_in_sync_in_the_same_epoch() -> None:
    each = replica(second="copying")
    assert each.count_in(("s2",)) == placement() == each.placement
    assert not each.may_read(LATER), "it may be made leader from now on"
