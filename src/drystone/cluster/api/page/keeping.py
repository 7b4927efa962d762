"""A value that many ask for and that takes a while to make: it is given again for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_PAUSES = 9.0
"""Between two makings: so many times what one took."""


class Kept(Generic[Value]):
    """The value. One is made at a time, so that who looks has a tenth of the time of one thread at most.

    :param make: makes a new one. :param kept: seconds, at least, for which it is given again; 0: it is made each time.
    """

    def __init__(self, make: Callable[[], Awaitable[Value]], kept: float) -> None:
        self._make = make
        self._kept = kept
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._value: Value | None = None
        self._forgotten = 0
        """How often: what was begun before the last time may be of before a change."""

    async def get(self) -> Value:
        """The value as it is now, or was a moment ago. What `make` raises is raised, and it is tried anew next time."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            began = loop.time()
            if self._value is None or began >= self._until:
                forgotten = self._forgotten
                self._value = await self._make()
                ended = loop.time()
                if self._kept and forgotten == self._forgotten:
                    self._until = ended + max(self._kept, (ended - began) * _PAUSES)
            return self._value

    def forget(self) -> None:
        """Have it made anew when it is asked for next, also when one is being made now."""
        self._forgotten += 1
        self._until = 0.0
