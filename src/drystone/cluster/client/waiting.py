"""Waiting for what was asked for: what is looked at, and what tells that it is there, or will not come. Pure but for
`wait`, which looks again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from drystone.base.errors import DrystoneError, NotFoundError, TimedOutError, UnavailableError
from drystone.cluster.client.api import Api, place

Verdict = Literal["done", "pending", "failed"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Seen(msgspec.Struct, frozen=True):
    """Of a resource, what waiting looks at.

    :ivar ihost: of an attachment, where the dlv is or may be, :ivar wanted: where it is to be.
    """

    status: str = ""
    reason: str = ""
    ihost: str = ""
    wanted: str = ""


class Identified(msgspec.Struct, frozen=True):
    """Of what has no name, such as a job, what it is found by."""

    id: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What a wish comes to. :ivar done: the states in which it is there, :ivar failed: in which it will not come.

    :ivar gone: what it means that there is no such thing (any more).
    """

    done: frozenset[str]
    failed: frozenset[str]
    gone: Verdict


_FAILED = frozenset({"failed"})

RULES: Mapping[str, Mapping[str, Rule]] = {
    "dlv": {
        "created": Rule(
            frozenset({"detached", "attaching", "attached", "detaching", "fencing"}),
            _FAILED | {"deleting"},
            "failed",
        ),
        "deleted": Rule(frozenset(), _FAILED, "done"),
        "attached": Rule(frozenset({"attached"}), _FAILED | {"deleting", "detached"}, "failed"),
        "detached": Rule(frozenset({"detached"}), _FAILED | {"attached", "attaching"}, "failed"),
    },
    "snapshot": {
        "created": Rule(frozenset({"available"}), _FAILED | {"deleting"}, "failed"),
        "deleted": Rule(frozenset(), _FAILED, "done"),
    },
    "job": {
        "finished": Rule(frozenset({"finished"}), _FAILED | {"canceled", "canceling"}, "failed"),
        "canceled": Rule(frozenset({"canceled"}), _FAILED | {"finished", "finishing"}, "failed"),
    },
    "backup": {
        "finished": Rule(frozenset({"finished"}), _FAILED | {"canceled", "canceling"}, "failed"),
        "canceled": Rule(frozenset({"canceled"}), _FAILED | {"finished"}, "failed"),
    },
    "evacuation": {"finished": Rule(frozenset({"evacuated"}), frozenset({"none"}), "failed")},
    "balance": {"finished": Rule(frozenset({"balanced"}), frozenset({"uneven"}), "failed")},
    "dpv": {"available": Rule(frozenset({"available"}), frozenset(), "failed")},
    "ihost": {"available": Rule(frozenset({"available"}), frozenset(), "failed")},
}
"""By kind of thing and what is waited for."""
_PARTS = {"evacuation": "dpvs", "balance": "dvgs"}
"""Kinds that are looked at below something else, and of what they bear the name."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is waited for. :ivar name: of the thing; of a snapshot DLV@SNAPSHOT. :ivar wish: a word of RULES[kind].

    :ivar ihost: that a dlv is to be attached to; "": to any.
    """

    kind: str
    name: str
    wish: str
    ihost: str = ""

    @property
    def path(self) -> str:
        """Of the resource that is looked at."""
        if self.kind == "snapshot":
            dlv, _, name = self.name.partition("@")
            return place("dlvs", dlv, "snapshots", name)
        if self.wish in {"attached", "detached"}:
            return place("dlvs", self.name, "attachment")
        if self.kind in _PARTS:
            return place(_PARTS[self.kind], self.name, self.kind)
        return place(f"{self.kind}s", self.name)

    def judge(self, seen: Seen | None) -> Verdict:
        """What is to be said of it. :param seen: None: there is no such thing."""
        rule = RULES[self.kind][self.wish]
        if seen is None:
            return rule.gone
        if self.ihost and seen.wanted != self.ihost:
            return "failed"
        if self.wish == "detached" and not seen.ihost and not seen.wanted:
            return "done"
        if seen.status in rule.done:
            return "done"
        return "failed" if seen.status in rule.failed else "pending"

    def spell(self, seen: Seen | None) -> str:
        """How it stands, in a line."""
        if seen is None:
            return f"{self.kind} {self.name} is gone"
        return f"{self.kind} {self.name}: {seen.status}" + (f", {seen.reason}" if seen.reason else "")


def wait(api: Api, goal: Goal, told: Callable[[str], None], *, seconds: float) -> None:
    """Look until it is there. That no server answers is waited through.

    :param told: is told how it stands, again and again. :param seconds: that it may take; 0: any time.
    :raises TimedOutError: it took longer. :raises DrystoneError: it failed, or was undone by somebody.
    """
    end = api.clock.monotonic() + seconds if seconds else None
    pause = _FIRST_PAUSE
    while True:
        text = ""
        try:
            seen = _look(api, goal)
            verdict, text = goal.judge(seen), goal.spell(seen)
        except (UnavailableError, TimedOutError) as error:
            verdict, text = "pending", error.message
        if verdict == "done":
            return
        if verdict == "failed":
            raise DrystoneError(f"{text}; it was to be {goal.wish}")
        told(text)
        now = api.clock.monotonic()
        if end is not None and now + pause > end:
            raise TimedOutError(f"{text}; it was to be {goal.wish} in {seconds:g} s")
        api.clock.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def _look(api: Api, goal: Goal) -> Seen | None:
    try:
        return api.get(goal.path).read(Seen)
    except NotFoundError:
        return None
