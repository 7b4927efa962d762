"""The changes that a leader is making: their epochs, their version numbers, and what it has given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from drystone.base.errors import TimedOutError
from drystone.fleet.disk.changes import Change

_SECONDS = 30.0
"""How long a change of a key that was given up before waits for others that began before that."""


class Noted:
    """One of them. :ivar epoch: it began in. :ivar least: its number, or one that is not above it while it has none."""

    __slots__ = ("epoch", "least", "placement")

    def __init__(self, placement: str, epoch: int, least: int) -> None:
        self.placement = placement
        self.epoch = epoch
        self.least = least


class UnderWay:
    """Of all placements. The floor that goes with a change says that all with lower numbers have ended, so that a
    member refuses what its leader has given up: it may have stuck on the way for long."""

    def __init__(self) -> None:
        self._changes: dict[str, set[Noted]] = {}
        self._highest: dict[str, int] = {}
        self._given_up: dict[tuple[str, str], int] = {}
        self._waiting: set[asyncio.Event] = set()

    @contextlib.contextmanager
    def noting(self, placement: str, epoch: int) -> Iterator[Noted]:
        """A change that begins; to be entered before it gets its number."""
        noted = Noted(placement, epoch, self._highest.get(placement, 0) + 1)
        self._changes.setdefault(placement, set()).add(noted)
        try:
            yield noted
        finally:
            self._changes[placement].discard(noted)
            self._tell()

    def _tell(self) -> None:
        """Have those that wait look again."""
        for each in self._waiting:
            each.set()

    async def number(self, noted: Noted, change: Change) -> int:
        """Note the number that a change got; the floor to send it with.

        That is above all numbers that were given up for the same key, so it may have to be waited for.

        :raises TimedOutError: a change that began before one that was given up does not end.
        """
        placement, seq = change.placement, change.info.seq
        noted.least = seq
        self._tell()
        self._highest[placement] = max(seq, self._highest.get(placement, 0))
        given_up = self._given_up.get((placement, change.info.key), 0)
        if given_up:
            await self._wait(lambda: self._floor(placement) > given_up, _SECONDS, placement)
        return self._floor(placement)

    def _floor(self, placement: str) -> int:
        return min(each.least for each in self._changes[placement])

    def give_up(self, change: Change) -> None:
        """A member may still make it, some time."""
        place = change.placement, change.info.key
        self._given_up[place] = max(change.info.seq, self._given_up.get(place, 0))

    def settle(self, change: Change) -> None:
        """All members made it, so they refuse from now on what was given up for the key."""
        self._given_up.pop((change.placement, change.info.key), None)

    async def wait_for_older(self, placement: str, epoch: int, seconds: float) -> None:
        """Wait until no change is under way that began before `epoch`. :raises TimedOutError: one still is."""
        await self._wait(
            lambda: all(each.epoch >= epoch for each in self._changes.get(placement, ())), seconds, placement
        )

    async def _wait(self, so: Callable[[], bool], seconds: float, placement: str) -> None:
        told = asyncio.Event()
        self._waiting.add(told)
        try:
            async with asyncio.timeout(seconds):
                while not so():
                    told.clear()
                    await told.wait()
        except TimeoutError as error:
            raise TimedOutError(f"a change of placement {placement} takes long") from error
        finally:
            self._waiting.discard(told)
