"""Long work that is under way, for whoever asks how far it is."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work: what is done to what, and how far it is in bytes (0 of 0: not known yet).

    :ivar id: a number that no other has in this daemon's life: one snapshot may be backed up to two places at once.
    """

    id: int
    action: str
    subject: str
    done: int = 0
    total: int = 0


class Work:
    """The pieces of work of this daemon."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._items: dict[int, Item] = {}
        self._ids = itertools.count(1)

    def list(self) -> list[Item]:
        """What is under way now, oldest first."""
        with self._guard:
            return list(self._items.values())

    @contextlib.contextmanager
    def doing(self, action: str, subject: str) -> Iterator[Progress]:
        """Show a piece of work while it lasts; yields what is called to report progress."""
        with self._guard:
            key = next(self._ids)
            self._items[key] = Item(key, action, subject)

        def report(done: int, total: int) -> None:
            with self._guard:
                self._items[key] = replace(self._items[key], done=done, total=total)

        try:
            yield report
        finally:
            with self._guard:
                del self._items[key]
