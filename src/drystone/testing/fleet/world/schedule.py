"""One run of a simulated fleet: trouble, then peace, then a look at every key."""

from __future__ import annotations

from drystone.testing.fleet.world.faults import Faults
from drystone.testing.fleet.world.history import HistoryError
from drystone.testing.fleet.world.world import HOSTS, KEYS, World

_TROUBLE_BEGINS = 104.0
_TROUBLE_ENDS = 145.0
_LOOKED_AT = 190.0
_LOOKS = 20


class Schedule:
    """What a seed stands for. :ivar world: the fleet. :ivar log: what broke and when."""

    def __init__(self, seed: int, mutants: frozenset[str] = frozenset()) -> None:
        self.world = World(seed, mutants)
        self.log: list[str] = []

    def run(self) -> None:
        """Let it happen. :raises HistoryError: something was wrong."""
        world = self.world
        world.begin()
        world.timeline.run(_TROUBLE_BEGINS)
        self.log = Faults(world, _TROUBLE_ENDS).log
        world.timeline.run(_LOOKED_AT)
        seen: set[tuple[str, str]] = set()
        for _ in range(_LOOKS):
            for host in HOSTS:
                for key in KEYS:
                    world.do("get", host, key, lambda _, both=(host, key): seen.add(both))  # type: ignore[misc]
            world.timeline.run(world.timeline.time + 1.0)
        world.history.check()
        lost = sorted({host for host in HOSTS for key in KEYS if (host, key) not in seen})
        if lost:
            raise HistoryError(f"not readable after all was mended: {', '.join(lost)}")

    def answered(self) -> int:
        """Operations that clients got an answer to."""
        return sum(each.ended is not None for each in self.world.history.operations)
