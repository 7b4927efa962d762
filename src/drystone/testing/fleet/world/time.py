"""Simulated time, and a network in it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

Action = Callable[[], None]

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_DELAYS = (0.02, 0.02, 0.15)
"""Seconds that a message takes on average, when the network is well: one of these in each run."""


class Timeline:
    """A clock (drystone.base.clock.Clock) and what happens when. Equal seeds give equal runs.

    :ivar cuts: (from, to): what is under way from one process to another is lost. :ivar count: of what has happened.
    """

    def __init__(self) -> None:
        self.time = 100.0
        self.cuts: set[tuple[str, str]] = set()
        self.count = 0
        self._events: list[_Event] = []
        self._numbers = itertools.count(1)

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self.time)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def after(self, seconds: float, action: Action) -> None:
        """Do something so many seconds from now."""
        heapq.heappush(self._events, (self.time + seconds, next(self._numbers), None, 0, None, action))

    def inside(self, host: Host, seconds: float, action: Action, link: tuple[str, str] | None = None) -> None:
        """Do something in a process so many seconds from now, if it is the same process still; later when it hangs.

        :param link: the way that it comes on from another process, if it does: it must not be cut then.
        """
        event = (self.time + seconds, next(self._numbers), host, host.generation, link, action)
        heapq.heappush(self._events, event)

    def run(self, until: float) -> None:
        """Let time pass."""
        events, cuts = self._events, self.cuts  # all the time of a run is spent here
        while events and events[0][0] <= until:
            self.time, _, host, generation, link, action = heapq.heappop(events)
            if host is not None:
                if not host.up or host.generation != generation or link in cuts:
                    continue
                if self.time < host.hung_until:
                    heapq.heappush(events, (host.hung_until, next(self._numbers), host, generation, link, action))
                    continue
            self.count += 1
            action()
        self.time = until


class Host:
    """A process that takes part: it can be down, or hang for a while, in which what comes waits.

    :ivar generation: grows with every start, so that what was meant for an earlier process is dropped.
    """

    def __init__(self, name: str, timeline: Timeline) -> None:
        self.name = name
        self.timeline = timeline
        self.up = True
        self.generation = 0
        self.hung_until = 0.0

    def later(self, seconds: float, action: Action) -> None:
        """A timer of this process: it does not ring when the process has ended, and late when it hangs."""
        self.timeline.inside(self, seconds, action)


_Event = tuple[float, int, Host | None, int, tuple[str, str] | None, Action]
"""When, its number, in which process and start of it, on which way it comes, what."""


class Network:
    """Messages between hosts: late, lost, doubled; cut from one host to another, one way or both.

    :ivar loss, double: chances of each message. :ivar late: (from, to): more seconds that each one takes there.
    """

    def __init__(self, timeline: Timeline, random: Random) -> None:
        self.timeline = timeline
        self.random = random
        self.delay = random.choice(_DELAYS)
        self.loss = 0.0
        self.double = 0.0
        self.slow = 0.0
        self.cuts = timeline.cuts
        self.late: dict[tuple[str, str], float] = {}

    def send(self, source: Host, target: Host, action: Action) -> float:
        """Have `action` done in `target`, when the message comes and if it is the same process still.

        :returns: when it comes for the last time, if `target` does not hang; 0.0 when it never does.
        """
        link = (source.name, target.name)
        chance = self.random.random
        if not target.up or link in self.cuts or chance() < self.loss:
            return 0.0
        last = 0.0
        for _ in range(2 if chance() < self.double else 1):
            delay = -math.log(1.0 - chance()) / (1 / self.delay)
            if chance() < self.slow:
                delay += 8 * chance()
            delay += self.late.get(link, 0.0)
            last = max(last, self.timeline.time + delay)
            self.timeline.inside(target, delay, action, link)
        return last


class Call:
    """A request and its answer, with a deadline: at most one of `done` and `failed` is called, in the caller.

    :param failed: called at the deadline, if the answer has not come; None: nobody waits for that.
    """

    __slots__ = ("_caller", "_deadline", "_done", "_failed", "_generation", "_open")

    def __init__(
        self, caller: Host, done: Callable[[object], None], failed: Callable[[], None] | None, seconds: float
    ) -> None:
        self._caller = caller
        self._generation = caller.generation
        self._deadline = caller.timeline.time + seconds
        self._done = done
        self._failed = failed
        self._open = True
        if failed is not None:
            caller.later(seconds, self._expire)

    def _expire(self) -> None:
        if self._open and self._failed is not None:
            self._open = False
            self._failed()

    def answer(self, value: object) -> None:
        """The answer came."""
        caller = self._caller
        if self._open and caller.up and caller.generation == self._generation:
            self._open = False
            if self._failed is not None or caller.timeline.time < self._deadline:
                self._done(value)
