"""An agent as the monitor speaks to it, and what became of its calls."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, overload

from drystone.cluster.agents.answers import LegsSeen, Survey, VolumeSeen
from drystone.cluster.agents.client import Seen
from drystone.cluster.model.calls import LegsWish, VolumeWish


class Agent(Protocol):
    """An agent as `cluster.agents.client` has it."""

    @overload
    def put(self, wish: LegsWish) -> LegsSeen: ...

    @overload
    def put(self, wish: VolumeWish) -> VolumeSeen: ...

    def look(self, dlv: str, kind: type[Seen]) -> Seen: ...

    def survey(self) -> Survey: ...


class Confirmed(NamedTuple):
    """:ivar dpvs: names of those that have what is wished of them in this epoch. :ivar troubles: of the others.

    :ivar ahead: of those that know something newer than the record, or something else of its epoch. None of them is
        gone on without: its leg may be the one with all acknowledged writes.
    :ivar missing: legs (ids) that were made once, and that their dpvs do not have any more.
    """

    dpvs: frozenset[str]
    troubles: dict[str, str]
    ahead: dict[str, str]
    missing: frozenset[str]


class Told(NamedTuple):
    """What became of a call of an ihost. `stopped`: the attachment is of another boot, or void, or the ihost knows
    nothing of it. `spent`: it knows another wish of this epoch which is the record's own too, or is refused one that
    it cannot begin. `ahead`: what it knows was never recorded here. `refused`: its pool did not take a message, and
    what comes after that was not done.
    """

    outcome: Literal["done", "failed", "stopped", "spent", "ahead", "refused"]
    why: str = ""
