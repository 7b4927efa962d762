"""How fast background work goes: so many bytes a second, and it stops when told to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Pace:
    """A rate that holds on average from its first use, with at most a second saved up.

    :param rate: bytes a second; infinite: as fast as it goes. :param stop: asked often; True ends the work.
    """

    def __init__(
        self,
        rate: float = math.inf,
        stop: Callable[[], bool] = lambda: False,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._stop = stop
        self._now = now
        self._sleep = sleep
        self._due = -math.inf

    def spend(self, size: int) -> bool:
        """Wait as long as `size` bytes take; False: stop."""
        if math.isfinite(self._rate):
            now = self._now()
            self._due = max(self._due, now - 1.0) + size / self._rate
            while self._due > now and not self._stop():
                self._sleep(min(self._due - now, 0.5))
                now = self._now()
        return not self._stop()
