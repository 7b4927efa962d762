"""Locks of single keys, and syncs of folders that several callers share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Lock:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class KeyLocks:
    """One lock for each key that is in use; none is kept for the others."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, _Lock] = {}

    @contextlib.contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Nobody else holds `key` under the block."""
        with self._guard:
            entry = self._locks.setdefault(key, _Lock())
            entry.users += 1
        try:
            with entry.lock:
                yield
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    del self._locks[key]


@dataclass(slots=True)
class _Sync:
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: int = 0
    done: int = 0
    users: int = 0


class SharedSyncs:
    """`sync(folder)` for many callers at once: one that begins after several asked serves them all.

    :param sync: what makes a folder durable.
    """

    def __init__(self, sync: Callable[[str], None]) -> None:
        self._sync = sync
        self._guard = threading.Lock()
        self._folders: dict[str, _Sync] = {}

    def sync(self, folder: str) -> None:
        """What was done in `folder` before the call is durable.

        :raises OSError: of the sync that this caller made.
        """
        with self._guard:
            entry = self._folders.setdefault(folder, _Sync())
            entry.users += 1
            entry.asked += 1
            mine = entry.asked
        try:
            with entry.lock:
                if entry.done >= mine:
                    return
                with self._guard:
                    serves = entry.asked
                self._sync(folder)
                entry.done = serves
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    del self._folders[folder]
