"""Who may touch what: one operation a volume at a time, and snapshots that a backup reads.

Locks are by volume, never by driver; nothing that only looks takes one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from drystone.base.errors import BusyError


class VolumeLocks:
    """A lock a volume, kept only while somebody wants it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def hold(self, uuid: str) -> Iterator[None]:
        """Wait until no other operation is on the volume `uuid`, and keep others out."""
        with self._wanted(uuid) as lock, lock:
            yield

    @contextlib.contextmanager
    def try_hold(self, uuid: str) -> Iterator[bool]:
        """Keep others out of the volume `uuid`, if no operation is on it now; whether none is."""
        with self._wanted(uuid) as lock:
            is_free = lock.acquire(blocking=False)
            try:
                yield is_free
            finally:
                if is_free:
                    lock.release()

    @contextlib.contextmanager
    def _wanted(self, uuid: str) -> Iterator[threading.Lock]:
        """The volume's lock, which is kept while somebody wants it."""
        with self._guard:
            lock, wanted = self._locks.get(uuid, (threading.Lock(), 0))
            self._locks[uuid] = (lock, wanted + 1)
        try:
            yield lock
        finally:
            with self._guard:
                lock, wanted = self._locks[uuid]
                if wanted == 1:
                    del self._locks[uuid]
                else:
                    self._locks[uuid] = (lock, wanted - 1)


class Uses:
    """Counts who reads a snapshot, for as long as it takes: a deletion is refused instead of waiting for hours."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: dict[str, int] = {}

    @contextlib.contextmanager
    def using(self, *uuids: str) -> Iterator[None]:
        """The snapshots `uuids` are read."""
        with self._guard:
            for uuid in uuids:
                self._counts[uuid] = self._counts.get(uuid, 0) + 1
        try:
            yield
        finally:
            with self._guard:
                for uuid in uuids:
                    self._counts[uuid] -= 1
                    if not self._counts[uuid]:
                        del self._counts[uuid]

    def check_free(self, uuid: str, what: str) -> None:
        """:raises BusyError: somebody reads the snapshot `uuid`."""
        with self._guard:
            if uuid in self._counts:
                raise BusyError(f"{what} is being read", hint="wait for the backup or clone to end")
