"""What a disk is made of, handed to the functions that work on it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from drystone.base.errors import ExhaustedError
from drystone.fleet.disk.ballast import Ballast
from drystone.fleet.disk.counters import Counters
from drystone.fleet.disk.files import Files
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.homes import Homes
from drystone.fleet.disk.index import Index, Step
from drystone.fleet.disk.ledger import Home
from drystone.fleet.disk.locks import KeyLocks, SharedSyncs
from drystone.fleet.disk.moving import Mover

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workings:
    """The parts of one disk.

    :ivar beside: threads for MD5. :ivar syncs: of folders. :ivar locks: of (placement, key).
    """

    root: Path
    name: str
    files: Files
    index: Index
    syncs: SharedSyncs
    locks: KeyLocks
    trouble: Trouble
    mover: Mover
    homes: Homes
    counters: Counters
    beside: Executor
    ballast: Ballast

    def hold(self, home: Home, key: str) -> AbstractContextManager[None]:
        """Nobody else changes the key, or looks up its file, under the block."""
        return self.locks.hold((home.number, key))

    def write(self, operation: str, step: Step[T], *, makes_room: bool = False) -> T:
        """A durable step of the index, with errors as ours.

        :param makes_room: it is part of a removal: on a full disk it takes the room that is kept for such.
        """
        self.trouble.check()
        try:
            with self.trouble.told(operation):
                return self.index.write(step)
        except ExhaustedError:
            if not makes_room:
                raise
        self.ballast.let_go()
        with self.trouble.told(operation):
            self.index.shorten_log()
            return self.index.write(step)

    @contextlib.contextmanager
    def looking(self, operation: str) -> Iterator[sqlite3.Connection]:
        """For a single statement, which sees one state of the index; with errors as ours."""
        with self.trouble.told(operation), self.index.looking() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self, operation: str) -> Iterator[sqlite3.Connection]:
        """One state of the index, with errors as ours."""
        with self.trouble.told(operation), self.index.reading() as connection:
            yield connection
