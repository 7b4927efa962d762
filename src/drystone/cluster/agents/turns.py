"""One at a time: the work on a dlv, or on a disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from drystone.base.errors import BusyError

PATIENCE = 20.0
"""Seconds that a call waits for the one before. A kernel that waits for a disk may keep that one for long."""


class Turns:
    """A lock for each thing of a kind. :param what: they are, in words."""

    def __init__(self, what: str = "dlv") -> None:
        self._what = what
        self._guard = Lock()
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    @contextmanager
    def of(self, name: str, patience: float = PATIENCE) -> Iterator[None]:
        """Within the block nobody else works on it. :raises BusyError: another call does, for longer than `patience`
        seconds.
        """
        with self._guard:
            lock = self._locks[name]
        if not lock.acquire(timeout=patience):
            raise BusyError(f"an earlier call for {self._what} {name} is still under way", hint="try again")
        try:
            yield
        finally:
            lock.release()
