"""Telling when a clone has all that can be had: what is left is damaged in the backup, and asked for again and again.

The kernel copies what is left in turn. So when what is damaged is met in one look after another, and nothing more has
come meanwhile, there is nothing else to come. While the store cannot be reached nobody knows. Somebody who reads what
is damaged over and over, from a device so busy that the kernel copies nothing, is taken for it: so it is told, and the
copying goes on.
"""

from __future__ import annotations

import threading

from drystone.base.errors import DamagedError, DrystoneError

LOOKS = 10
"""Looks in which damage was met and nothing more had come."""


class Standstill:
    """`note` is called by the threads that serve the clone, `stands` by the one that looks at it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._damaged = False
        self._looks = 0
        self._hydrated = -1

    def note(self, error: DrystoneError) -> None:
        """A read of the backup has failed."""
        with self._lock:
            if isinstance(error, DamagedError):
                self._damaged = True
            else:
                self._looks = 0

    def stands(self, hydrated: int) -> bool:
        """A look: so many regions are there. Whether all has come that can; after that it is found out anew."""
        with self._lock:
            if hydrated != self._hydrated:
                self._hydrated, self._looks = hydrated, 0
            elif self._damaged:
                self._looks += 1
            self._damaged = False
            if self._looks < LOOKS:
                return False
            self._looks = 0
            return True
