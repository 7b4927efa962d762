"""Time: a clock that is handed down, so that tests can hold it, and the spellings of a moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> datetime:
        """The wall clock, with a time zone."""

    def monotonic(self) -> float:
        """Seconds from an unknown beginning, never backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait for at least `seconds`."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def format_ruby(moment: datetime) -> str:
    """`Mon Jan 02 15:04:05 -0700 2006`, the spelling of Convoy's documents, in English whatever the locale."""
    return (
        f"{_DAYS[moment.weekday()]} {_MONTHS[moment.month - 1]} {moment.day:02d} "
        f"{moment:%H:%M:%S} {moment:%z} {moment.year:04d}"
    )


def format_rfc3339(moment: datetime) -> str:
    """`2026-01-02T15:04:05+01:00`, the spelling of our own documents."""
    return moment.isoformat(timespec="seconds")


def format_instant(moment: datetime) -> str:
    """`2026-01-02T14:04:05.000000+00:00`: RFC 3339 in UTC with microseconds, whose order as text is that in time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
