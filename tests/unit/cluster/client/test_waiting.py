"""What is waited for: which states are it, which never become it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import pytest

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.cluster.api.documents import BalanceStatus, EvacuationStatus
from drystone.cluster.client.api import Api
from drystone.cluster.client.waiting import RULES, Goal, Seen, wait
from drystone.cluster.model.backup import BackupStatus
from drystone.cluster.model.dlv import DlvStatus, SnapshotStatus
from drystone.cluster.model.dpv import HostStatus
from drystone.cluster.model.job import NEXT, JobStatus

STATES: dict[str, tuple[str, ...]] = {
    "dlv": get_args(DlvStatus),
    "snapshot": get_args(SnapshotStatus),
    "job": get_args(JobStatus),
    "backup": get_args(BackupStatus),
    "dpv": get_args(HostStatus),
    "ihost": get_args(HostStatus),
    "evacuation": get_args(EvacuationStatus),
    "balance": get_args(BalanceStatus),
}


def judge(kind: str, wish: str) -> dict[str, set[str]]:
    """The states by what is said of them."""
    found: dict[str, set[str]] = {"done": set(), "pending": set(), "failed": set()}
    for state in STATES[kind]:
        found[Goal(kind, "db", wish).judge(Seen(state, wanted="h1", ihost="h1"))].add(state)
    return found


@pytest.mark.parametrize(
    ("kind", "wish", "done", "pending"),
    [
        ("dlv", "created", {"detached", "attaching", "attached", "detaching", "fencing"}, {"creating", "restoring"}),
        ("dlv", "attached", {"attached"}, {"creating", "restoring", "attaching", "detaching", "fencing"}),
        ("dlv", "detached", {"detached"}, {"creating", "restoring", "detaching", "fencing", "deleting"}),
        ("dlv", "deleted", set(), set(get_args(DlvStatus)) - {"failed"}),
        ("snapshot", "created", {"available"}, {"planned", "creating"}),
        ("snapshot", "deleted", set(), set(get_args(SnapshotStatus)) - {"failed"}),
        ("job", "finished", {"finished"}, {"creating", "processing", "finishing"}),
        ("job", "canceled", {"canceled"}, {"creating", "processing", "canceling"}),
        ("backup", "finished", {"finished"}, {"creating", "processing"}),
        ("backup", "canceled", {"canceled"}, {"creating", "processing", "canceling"}),
        ("dpv", "available", {"available"}, {"creating", "unavailable"}),
        ("ihost", "available", {"available"}, {"creating", "unavailable"}),
        ("evacuation", "finished", {"evacuated"}, {"evacuating"}),
        ("balance", "finished", {"balanced"}, {"rebalancing"}),
    ],
)
def test_every_state_is_judged(kind: str, wish: str, done: set[str], pending: set[str]) -> None:
    assert judge(kind, wish) == {"done": done, "pending": pending, "failed": set(STATES[kind]) - done - pending}


def test_the_rules_name_states_that_there_are() -> None:
    for kind, wishes in RULES.items():
        for rule in wishes.values():
            assert rule.done | rule.failed <= set(STATES[kind])


@pytest.mark.parametrize("wish", ["finished", "canceled"])
def test_a_job_that_cannot_get_there_any_more_has_failed(wish: str) -> None:
    """By the states that the model lets it pass: one from which there is a way is waited for."""

    def reaches(state: JobStatus) -> bool:
        return state == wish or any(reaches(each) for each in NEXT[state] - {"canceling"} - {"failed"}) or (
            wish == "canceled" and "canceling" in NEXT[state]
        )  # fmt: skip

    lost = judge("job", wish)["failed"]
    assert not [each for each in get_args(JobStatus) if each in lost and reaches(each) and each != "failed"]


def test_a_dlv_that_somebody_attached_elsewhere_will_not_be_here() -> None:
    goal = Goal("dlv", "db", "attached", "h1")
    assert goal.judge(Seen("attaching", wanted="h2")) == "failed"
    assert goal.judge(Seen("attaching", wanted="h1")) == "pending"
    assert goal.judge(None) == "failed"
    assert goal.path == "/dlvs/db/attachment"
    assert Goal("snapshot", "db@a", "created").path == "/dlvs/db/snapshots/a"


class Told:
    """An API whose answers are scripted: states, or errors."""

    def __init__(self, answers: Iterable[str | Exception]) -> None:
        self.url = "http://a"
        self._answers = iter(answers)

    def send(self, *_: object) -> tuple[int, bytes]:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        if not answer:
            return 404, b'{"code": "not-found", "detail": "gone"}'
        return 200, b'{"status": "%s", "reason": "why"}' % answer.encode()


class Held:
    """A clock that goes on when it is slept by."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def wait_through(*answers: str | Exception, wish: str = "created", seconds: float = 60.0) -> list[str]:
    """How it stood meanwhile."""
    told: list[str] = []
    api = Api([Told(answers)], "t", patience=0, clock=Held())  # type: ignore[arg-type]  # no wall clock
    wait(api, Goal("dlv", "db", wish), told.append, seconds=seconds)
    return told


def test_it_is_waited_through_what_passes() -> None:
    gone = UnavailableError("nobody is there")
    assert wait_through("creating", gone, "creating", "detached") == [
        "dlv db: creating, why", "nobody is there", "dlv db: creating, why"
    ]  # fmt: skip
    assert wait_through("deleting", "", wish="deleted") == ["dlv db: deleting, why"]


def test_what_failed_is_not_waited_for() -> None:
    with pytest.raises(DrystoneError, match="dlv db: failed, why; it was to be created"):
        wait_through("creating", "failed")
    with pytest.raises(DrystoneError, match="is gone; it was to be created"):
        wait_through("creating", "")


def test_it_ends_in_time() -> None:
    with pytest.raises(TimedOutError, match="it was to be created in 3 s"):
        wait_through(*["creating"] * 99, seconds=3)
    assert len(wait_through(*["creating"] * 300, "detached", seconds=0)) == 300
