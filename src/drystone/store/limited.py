"""A store whose traffic stays below a rate: a token bucket over what is put and what is got.

Every byte costs a token; tokens come at the rate, and no more than a second's worth are kept. Who takes more than there
are waits until the debt is paid, before a put or a range of known length, after a get whose length nobody knew. All
threads share the bucket. An object goes as fast as the network lets it: the rate is kept over seconds, not within one
object. Listings and deletions are free.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from drystone.base.errors import UsageError
from drystone.store import waiting
from drystone.store.abc import Data, Store

_BURST = 1.0
"""Seconds' worth of tokens that are kept."""


class TokenBucket:
    """`rate` tokens a second; full at first.

    :param now: monotonic seconds. :param pause: sleeps; returns early when the program is told to end.
    :raises UsageError: no rate.
    """

    def __init__(
        self,
        rate: float,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = waiting.pause,
    ) -> None:
        if rate <= 0:
            raise UsageError(f"{rate} bytes a second is no rate")
        self._rate = rate
        self._now = now
        self._pause = pause
        self._lock = threading.Lock()
        self._tokens = rate * _BURST
        self._seen = now()

    def take(self, count: int) -> None:
        """Take tokens; returns when no debt is left of them."""
        with self._lock:
            now = self._now()
            self._tokens = min(self._rate * _BURST, self._tokens + (now - self._seen) * self._rate) - count
            self._seen = now
            debt = -self._tokens / self._rate
        if debt > 0:
            self._pause(debt)


class LimitedStore:
    """`inner`, slowed down by `bucket`."""

    def __init__(self, inner: Store, bucket: TokenBucket) -> None:
        self._inner = inner
        self._bucket = bucket

    def put_if_absent(self, key: str, data: Data) -> bool:
        """After its tokens; also one that loses has been sent."""
        self._bucket.take(len(data))
        return self._inner.put_if_absent(key, data)

    def get(self, key: str) -> bytes:
        """Before its tokens."""
        data = self._inner.get(key)
        self._bucket.take(len(data))
        return data

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """After its tokens."""
        self._bucket.take(max(length, 0))
        return self._inner.get_range(key, offset, length)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """At once."""
        return self._inner.list(prefix)

    def delete(self, key: str) -> None:
        """At once."""
        self._inner.delete(key)

    def clean(self) -> int:
        """At once."""
        return self._inner.clean()
