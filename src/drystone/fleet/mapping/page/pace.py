"""How fast copies grow, from what their disks said they hold: in memory only, as an estimate for people."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

Copy = tuple[str, str]
"""Placement id and disk id."""

_SAMPLES = 8
_STILL_SECONDS = 90.0
"""Disks tell twice a minute what they hold: a copy that has not grown for so long stands still."""


class Pace:
    """The last sizes of the copies that are being made. Times are monotonic seconds, sizes bytes."""

    def __init__(self) -> None:
        self._samples: dict[Copy, deque[tuple[float, int]]] = {}

    def note(self, copy: Copy, size: int, now: float) -> None:
        """A disk holds `size` bytes of a copy. One that shrank has begun anew."""
        samples = self._samples.setdefault(copy, deque(maxlen=_SAMPLES))
        if samples and size < samples[-1][1]:
            samples.clear()
        if not samples or size != samples[-1][1]:
            samples.append((now, size))

    def keep(self, copies: Collection[Copy]) -> None:
        """Forget all others: they are complete, or given up."""
        for copy in self._samples.keys() - set(copies):
            del self._samples[copy]

    def rate(self, copy: Copy, now: float) -> float | None:
        """Bytes a second; None while it is not known, and for a copy that stands still."""
        samples = self._samples.get(copy)
        if samples is None or len(samples) < 2:
            return None
        (began, first), (ended, last) = samples[0], samples[-1]
        if now - ended > _STILL_SECONDS or ended <= began:
            return None
        return (last - first) / (ended - began)
