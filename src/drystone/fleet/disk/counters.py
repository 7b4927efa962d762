"""Version numbers that a leader gives out, none twice also after a crash, and which of them are still open."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass, field

from drystone.base.errors import UnavailableError
from drystone.fleet.disk.index import Index
from drystone.fleet.replica import make_seq

_BLOCK = 10_000


@dataclass(slots=True)
class _Counter:
    """Of one placement. :ivar given: the last count. :ivar reserved: counts up to here may be given out."""

    epoch: int = 0
    given: int = 0
    reserved: int = 0
    open: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Counters:
    """The counters of all placements of a disk. The constructor has no effects."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._guard = threading.Lock()
        self._counters: dict[int, _Counter] = {}

    def take(self, number: int, epoch: int) -> int:
        """The next version number of a placement (by its number in the index) in `epoch`; it is open.

        What may be given out is reserved durably, 10,000 at a time.

        :raises UnavailableError: numbers of a later epoch were given out: of an earlier one it is not known any more
            which were.
        """
        counter = self._counter(number)
        with counter.lock:
            if counter.epoch != epoch:
                last, reserved = self._last(number)
                if epoch < last:
                    raise UnavailableError(f"epoch {epoch} is over, {last} has begun", hint="try again")
                counter.epoch = epoch
                counter.given = counter.reserved = reserved if epoch == last else 0
            if counter.given == counter.reserved:
                self._reserve(number, epoch, counter.given + _BLOCK)
                counter.reserved = counter.given + _BLOCK
            counter.given += 1
            seq = make_seq(epoch, counter.given)
            counter.open.add(seq)
            return seq

    def end(self, number: int, seq: int) -> None:
        """It is not open any more: decided durably, or never used."""
        counter = self._counter(number)
        with counter.lock:
            counter.open.discard(seq)

    def settled(self, number: int, epoch: int) -> int:
        """Up to which version number nothing is open: what a reader sees afterwards has all of those."""
        counter = self._counter(number)
        with counter.lock:
            if counter.open:
                return min(counter.open) - 1
            if counter.epoch == epoch:
                return make_seq(epoch, counter.given)
            last, reserved = self._last(number)
            return make_seq(epoch, reserved if epoch == last else 0)

    def _counter(self, number: int) -> _Counter:
        with self._guard:
            return self._counters.setdefault(number, _Counter())

    def _last(self, number: int) -> tuple[int, int]:
        """The last epoch of which numbers were given out, and up to which count; zeros when none were."""
        with self._index.looking() as connection:
            found = connection.execute(
                "SELECT epoch, reserved FROM counters WHERE placement = ? ORDER BY epoch DESC LIMIT 1", (number,)
            ).fetchone()
        return (0, 0) if found is None else (int(found[0]), int(found[1]))

    def _reserve(self, number: int, epoch: int, reserved: int) -> None:
        def step(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM counters WHERE placement = ? AND epoch < ?", (number, epoch))
            connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", (number, epoch, reserved))

        self._index.write(step)
