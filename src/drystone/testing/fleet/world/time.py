"""Simulated time, and a network in it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

Action = Callable[[], None]

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_DELAYS = (0.02, 0.02, 0.15)
"""Seconds that a message takes on average, when the network is well: one of these in each run."""


class Timeline:
    """A clock (drystone.base.clock.Clock) and what happens when. Equal seeds give equal runs."""

    def __init__(self) -> None:
        self.time = 100.0
        self._events: list[tuple[float, int, Action]] = []
        self._count = 0

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self.time)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def at(self, time: float, action: Action) -> None:
        """Do something then."""
        self._count += 1
        heapq.heappush(self._events, (max(time, self.time), self._count, action))

    def after(self, seconds: float, action: Action) -> None:
        """Do something so many seconds from now."""
        self.at(self.time + seconds, action)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.time, _, action = heapq.heappop(self._events)
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
        generation = self.generation

        def ring() -> None:
            if self.up and self.generation == generation:
                if self.timeline.time < self.hung_until:
                    self.timeline.at(self.hung_until, ring)
                else:
                    action()

        self.timeline.after(seconds, ring)


class Network:
    """Messages between hosts: late, lost, doubled; cut from one host to another, one way or both.

    :ivar loss, double: chances of each message.
    """

    def __init__(self, timeline: Timeline, random: Random) -> None:
        self.timeline = timeline
        self.random = random
        self.delay = random.choice(_DELAYS)
        self.loss = 0.0
        self.double = 0.0
        self.slow = 0.0
        self.cuts: set[tuple[str, str]] = set()

    def send(self, source: Host, target: Host, action: Action) -> None:
        """Have `action` done in `target`, when the message comes and if it is the same process still."""
        if not target.up or (source.name, target.name) in self.cuts or self.random.random() < self.loss:
            return
        generation = target.generation
        for _ in range(1 + (self.random.random() < self.double)):
            delay = self.random.expovariate(1 / self.delay)
            if self.random.random() < self.slow:
                delay += self.random.uniform(0, 8)
            self.timeline.after(delay, lambda: self._arrive(source, target, generation, action))

    def _arrive(self, source: Host, target: Host, generation: int, action: Action) -> None:
        if not target.up or target.generation != generation or (source.name, target.name) in self.cuts:
            return
        if self.timeline.time < target.hung_until:
            self.timeline.at(target.hung_until, lambda: self._arrive(source, target, generation, action))
            return
        action()


class Call:
    """A request and its answer, with a deadline: exactly one of `done` and `failed` is called, in the caller."""

    def __init__(
        self, caller: Host, done: Callable[[object], None], failed: Callable[[], None], seconds: float
    ) -> None:
        self._caller = caller
        self._generation = caller.generation
        self._done = done
        self._failed = failed
        self._open = True
        caller.later(seconds, self._expire)

    def _expire(self) -> None:
        if self._open:
            self._open = False
            self._failed()

    def answer(self, value: object) -> None:
        """The answer came."""
        if self._open and self._caller.up and self._caller.generation == self._generation:
            self._open = False
            self._done(value)
