"""One run of a simulated fleet: trouble, then peace, then a look at every key."""

from __future__ import annotations

from collections import Counter

from drystone.fleet.mapping.database import AuditEntry
from drystone.testing.fleet.world.copies import check_copies
from drystone.testing.fleet.world.faults import Faults
from drystone.testing.fleet.world.history import HistoryError
from drystone.testing.fleet.world.world import HOSTS, World

_TROUBLE_BEGINS = 104.0
_TROUBLE_ENDS = 145.0
_LOOKED_AT = 190.0
_LOOKS = 20
"""A second each; first at every key, then at those that were not read yet."""
_WHOLE_LOOKS = 5
_COMPARED_EVERY = 0.25


class Schedule:
    """What a seed stands for. :ivar world: the fleet. :ivar log: what broke and when. :ivar tally: what was met."""

    def __init__(self, seed: int, mutants: frozenset[str] = frozenset()) -> None:
        self.world = World(seed, mutants)
        self.log: list[str] = []
        self.tally: Counter[str] = Counter()

    def run(self) -> None:
        """Let it happen. :raises HistoryError: something was wrong."""
        world = self.world
        world.begin()
        world.timeline.run(_TROUBLE_BEGINS)
        faults = Faults(world, _TROUBLE_ENDS)
        self.log = faults.log
        while world.timeline.time < _LOOKED_AT:
            world.timeline.run(world.timeline.time + _COMPARED_EVERY)
            self.tally["copies compared"] += check_copies(world)
        seen: set[tuple[str, str]] = set()
        for look in range(_LOOKS):
            for host in HOSTS:
                for key in world.keys:
                    if look < _WHOLE_LOOKS or (host, key) not in seen:
                        world.do("get", host, key, lambda _, both=(host, key): seen.add(both))  # type: ignore[misc]
            world.timeline.run(world.timeline.time + 1.0)
        world.history.check()
        lost = sorted({host for host in HOSTS for key in world.keys if (host, key) not in seen})
        if lost:
            raise HistoryError(f"not readable after all was mended: {', '.join(lost)}")
        self._count(faults)

    def _count(self, faults: Faults) -> None:
        world = self.world
        self.tally.update(faults.tally)
        self.tally.update(world.database.tally)
        answered = Counter(each.kind for each in world.history.operations if each.ended is not None)
        self.tally["schedules"] += 1
        self.tally["events"] += world.timeline.count
        self.tally["reads checked"] += answered.pop("get", 0)
        self.tally["changes acknowledged"] += answered.total()
        self.tally["operations refused"] += world.refused
        self.tally["operations without an answer"] += len(world.history.operations) - self.answered() - world.refused

    def decided(self) -> list[AuditEntry]:
        """What the mappers wrote into the audit log."""
        return self.world.database.entries

    def answered(self) -> int:
        """Operations that clients got an answer to."""
        return sum(each.ended is not None for each in self.world.history.operations)
