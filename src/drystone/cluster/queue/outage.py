"""A broker that is away: told once, tried again ever more seldom."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
"""Seconds until the second try."""
_LONGEST_PAUSE = 30.0


class Outage:
    """What one connection's user notes of failures. :param pause: seconds until the second try, then twice that."""

    def __init__(self, what: str, pause: float) -> None:
        self._what = what
        self._first = pause
        self._pause = pause
        self._is_told = False

    def begin(self, error: Exception) -> float:
        """Note a failure; the seconds to wait until the next try."""
        if not self._is_told:
            log.warning("the queue: %s, work is found by rounds alone: %s", self._what, error)
        log.debug("the queue", exc_info=error)
        self._is_told = True
        pause, self._pause = self._pause, min(2 * self._pause, max(self._first, _LONGEST_PAUSE))
        return pause

    def end(self) -> None:
        """Note that it works."""
        if self._is_told:
            log.warning("the queue works again")
        self._is_told = False
        self._pause = self._first
