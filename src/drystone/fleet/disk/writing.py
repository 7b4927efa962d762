"""Changes made durable: by a leader in two steps (an intent, then the change), by a member in one.

What is synced, and when. A body's file and the folder of temporary files: before the index refers to it, and while the
index takes the intent, which does not. The index: before anything is renamed. The renames themselves: not before
`commit` or `apply` returns; the index knows both places and a start after a power cut finishes them (moving.py). So a
change costs one sync of its own, and shares those of folder and index with all others that are under way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sqlite3
import threading
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass

from drystone.base.errors import (
    DrystoneError,
    ExhaustedError,
    KernelError,
    MismatchError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from drystone.fleet.disk import ledger, places, rows
from drystone.fleet.disk.changes import Change, Entry
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.index import Step
from drystone.fleet.disk.ledger import Body, FileSteps, Home, UnsettledError
from drystone.fleet.disk.workings import Workings

_NUMBERS = itertools.count(1)
"""Of intents: of all disks and openings, so that none is taken for one of an earlier opening."""
_Also = Callable[[sqlite3.Connection], object]


@dataclass(frozen=True, slots=True)
class Terms:
    """What must hold when a member takes a change: see Disk.apply."""

    epoch: int | None = None
    floor: int = 0


@dataclass(slots=True)
class _Intent:
    """A change that was prepared. :ivar body: None when it has none, and from when the index refers to its file."""

    home: Home
    change: Change
    body: Body | None


class Changes:
    """The changes of one disk. The constructor has no effects."""

    def __init__(self, disk: Workings) -> None:
        self._disk = disk
        self._guard = threading.Lock()
        self._floors: dict[int, int] = {}
        self._intents: dict[int, _Intent] = {}

    def recover(self) -> int:
        """Take back the intents that nobody decided: their keys are dirty; how many there were."""

        def step(connection: sqlite3.Connection) -> int:
            connection.execute(
                "INSERT INTO dirty SELECT placement, key, max(seq) FROM intents WHERE true GROUP BY placement, key "
                "ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)"
            )
            return connection.execute("DELETE FROM intents").rowcount

        return self._disk.write("recover", step, makes_room=True)

    def prepare(self, change: Change, body: Incoming | None) -> int:
        """See Disk.prepare."""
        home = self._disk.homes.find(change.placement)
        key = rows.encode_key(change.info.key)
        places.path_within(home.placement, change.info.key)
        number = next(_NUMBERS)
        values = (number, home.number, key, change.info.seq)

        def note(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO intents VALUES (?, ?, ?, ?)", values)

        held = None
        if body is None:
            self._disk.write("prepare", note, makes_room=True)
        else:
            held = self._secure_while(note, change, body, number)
        with self._guard:
            self._intents[number] = _Intent(home, change, held)
        return number

    def _secure_while(self, note: Step[None], change: Change, body: Incoming, number: int) -> Body:
        """`note` has the index hold an intent, while the body becomes durable: both are when this returns."""
        disk = self._disk
        self._compare(change, body)
        with disk.trouble.told("prepare"):
            noted = disk.index.begin(note)
        try:
            held = self._secure(change, body)
        except BaseException:
            futures.wait([noted])
            with contextlib.suppress(DrystoneError):  # what is left is taken back when the disk is opened again
                disk.write("prepare", lambda each: _forget_intent(each, number), makes_room=True)
            raise
        try:
            with disk.trouble.told("prepare"):
                noted.result()
        except ExhaustedError:
            self._drop(held)
            raise
        return held

    def commit(self, number: int) -> None:
        """See Disk.commit."""
        intent = self._look_up(number)
        home, change = intent.home, intent.change
        with self._disk.hold(home, change.info.key):
            steps = self._decide(home, change, intent.body, lambda each: _forget_intent(each, number))
            body, intent.body = intent.body, None
            if steps is None:
                self._drop(body)
            else:
                self._carry_out(change, steps)
        self._forget(number, intent)

    def abort(self, number: int, *, dirty: bool) -> None:
        """See Disk.abort."""
        intent = self._look_up(number)
        home, change = intent.home, intent.change

        def step(connection: sqlite3.Connection) -> None:
            _forget_intent(connection, number)
            if dirty:
                mark(connection, home, change.info.key, change.info.seq)

        with self._disk.hold(home, change.info.key):  # a commit that nobody waits for any more may be under way
            self._disk.write("abort", step, makes_room=True)
            self._drop(intent.body)
        self._forget(number, intent)

    def apply(self, change: Change, body: Incoming | None, terms: Terms) -> bool:
        """See Disk.apply."""
        home = self._disk.homes.find(change.placement)
        rows.encode_key(change.info.key)
        places.path_within(home.placement, change.info.key)
        held = None
        if body is not None:
            self._compare(change, body)
            held = self._secure(change, body)
        with self._disk.hold(home, change.info.key):
            try:
                steps = self._decide(home, change, held, lambda _: self._check(home, change, terms))
            except (ExhaustedError, KernelError, MismatchError, NotFoundError):
                self._drop(held)
                raise
            if steps is None:
                self._drop(held)
                return False
            self._carry_out(change, steps)
        return True

    def remove_exactly(self, placement_id: str, entry: Entry, epoch: int | None) -> bool:
        """Remove a version as long as no later change of it is known; nothing is remembered.

        :raises MismatchError: the epoch is another.
        """
        home = self._disk.homes.find(placement_id)
        info = dataclasses.replace(entry.info, seq=entry.info.seq + 1)
        change = Change("remove", placement_id, info, entry.made)
        with self._disk.hold(home, info.key):
            steps = self._decide(home, change, None, lambda _: self._disk.homes.check_epoch(home, epoch))
            if steps is not None:
                self._carry_out(change, steps)
        return steps is not None

    def _check(self, home: Home, change: Change, terms: Terms) -> None:
        """In a step of the index, so one at a time."""
        self._disk.homes.check_epoch(home, terms.epoch)
        floor = max(self._floors.get(home.number, 0), terms.floor)
        self._floors[home.number] = floor
        if terms.floor and change.info.seq < floor:  # a copy that was fetched has no floor, and an old number
            raise MismatchError(f"change {change.info.seq} was given up by its leader", floor=floor)

    def _compare(self, change: Change, body: Incoming) -> None:
        """:raises MismatchError: the body is not what the change says. :raises UnavailableError: the disk is bad."""
        body.check(self._disk.trouble)
        info, sums = change.info, body.finish()
        if (info.size, info.digest) != (sums.size, sums.digest):
            body.abandon()
            raise MismatchError(
                f"{info.key!r}: {sums.size} bytes with digest {sums.digest[:16]} came, "
                f"{info.size} with {info.digest[:16]} were to come",
                key=info.key,
            )
        self._disk.trouble.check()

    def _secure(self, change: Change, body: Incoming) -> Body:
        """The body is durable under its temporary name."""
        body.secure(change.info.modified)
        with self._disk.trouble.told("sync"):
            self._disk.syncs.sync(places.TEMP)
        return Body(body.place, body.finish().pieces)

    def _decide(self, home: Home, change: Change, body: Body | None, also: _Also | None) -> FileSteps | None:
        """Have the index hold the change, durably; what is left to be done with files. The caller holds the key.

        None: something newer is known. When it raises, the index does not refer to the body's file.
        """
        disk = self._disk
        settled: set[str] = set()

        def step(connection: sqlite3.Connection) -> FileSteps | None:
            if also is not None:
                also(connection)
            return ledger.apply_change(connection, home, change, body, is_free=is_free, settled=settled)

        with disk.trouble.told(change.kind):
            plain = places.plain_place(home.placement, home.slot, change.info.key)
            disk.mover.check(home.number, rows.encode_key(change.info.key))
            is_free = plain is not None and not disk.files.exists(plain)
        while True:
            try:
                return disk.write(change.kind, step, makes_room=body is None)
            except UnsettledError as error:
                with disk.trouble.told(change.kind):
                    disk.mover.settle_place(error.place)
                settled.add(error.place)

    def _carry_out(self, change: Change, steps: FileSteps) -> None:
        with self._disk.trouble.told(change.kind):
            self._disk.mover.carry_out(steps)

    def _look_up(self, number: int) -> _Intent:
        with self._guard:
            intent = self._intents.get(number)
        if intent is None:
            raise UsageError(f"there is no intent {number}")
        return intent

    def _forget(self, number: int, intent: _Intent) -> None:
        with self._guard:
            self._intents.pop(number, None)
        self._disk.counters.end(intent.home.number, intent.change.info.seq)

    def _drop(self, body: Body | None) -> None:
        if body is not None:
            try:
                with self._disk.trouble.told("drop"):
                    self._disk.files.unlink(body.temp)
            except UnavailableError:
                return  # noted; what is left goes at the next start


def _forget_intent(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM intents WHERE number = ?", (number,))


def mark(connection: sqlite3.Connection, home: Home, key: str, seq: int) -> None:
    """Mark a key as dirty."""
    connection.execute(
        "INSERT INTO dirty VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        (home.number, key.encode(), seq),
    )
