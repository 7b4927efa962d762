"""What a monitor remembers between rounds. All of it may be forgotten: then more is asked and tried, nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from drystone.cluster.agents.answers import Survey
from drystone.cluster.model.in_sync import Assembly

HostKind = Literal["dpv", "ihost"]


class Host(NamedTuple):
    """An agent's host. A dpv and an ihost may have one name."""

    kind: HostKind
    name: str


class Shortage(NamedTuple):
    """What a dlv lacks for now.

    :ivar text: one thing of it, in words. :ivar homeless: legs (ids) to be replaced that no dpv has room for.
    """

    text: str = ""
    homeless: frozenset[str] = frozenset()


@dataclass(slots=True)
class Memory:
    """:ivar done: the epoch of a dlv (its id), and that of its sets, in which a host has confirmed all that is wished.

    :ivar handed: assemblies of a change that this monitor recorded, under the epoch of that, until the ihost has them:
        how logs begin is in no record. :ivar misses: surveys of a host without an answer, one after the other.
    :ivar tries: rounds that a dlv stood still in an epoch, one after the other. :ivar still: dlvs that do so in this
        round. :ivar shortages: what there was no room for, or what else was in the way of a group or leg that is
        needed. :ivar unknown: what hosts have that no call has named.
    """

    done: dict[tuple[Host, str], tuple[int, int]] = field(default_factory=dict)
    handed: dict[str, tuple[int, tuple[Assembly, ...]]] = field(default_factory=dict)
    misses: Counter[Host] = field(default_factory=Counter)
    tries: dict[str, tuple[int, int]] = field(default_factory=dict)
    still: set[str] = field(default_factory=set)
    shortages: dict[str, Shortage] = field(default_factory=dict)
    unknown: dict[Host, tuple[str, ...]] = field(default_factory=dict)

    def is_done(self, host: Host, dlv: str, epoch: int, set_epoch: int) -> bool:
        """Whether the host has confirmed what is wished of the dlv in that epoch."""
        return self.done.get((host, dlv)) == (epoch, set_epoch)

    def take(self, host: Host, survey: Survey) -> None:
        """Believe no longer what a survey says otherwise."""
        self.misses[host] = 0
        for (at, dlv), (epoch, _) in [*self.done.items()]:
            if at == host and (survey.dlvs.get(dlv) != epoch or dlv in survey.troubles):
                self.done.pop((at, dlv), None)

    def begin_round(self, dlv: str) -> None:
        """Of a dlv. After one in which it did not stand still these are counted from none."""
        if dlv not in self.still:
            self.tries.pop(dlv, None)
        self.still.discard(dlv)

    def stand_still(self, dlv: str, epoch: int) -> int:
        """Count a round in which a dlv does not go on, once; how many there were in this epoch."""
        before = self.tries.get(dlv)
        count = before[1] if before is not None and before[0] == epoch else 0
        if dlv not in self.still or not count:
            count += 1
        self.still.add(dlv)
        self.tries[dlv] = (epoch, count)
        return count

    def keep_only(self, dlvs: Collection[str]) -> None:
        """Forget all dlvs but these (their ids)."""
        for key in [*self.done]:
            if key[1] not in dlvs:
                self.done.pop(key, None)
        self.still.intersection_update(dlvs)
        for each in (self.handed, self.tries, self.shortages):
            for dlv in {*each} - {*dlvs}:
                each.pop(dlv, None)
