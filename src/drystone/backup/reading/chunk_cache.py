"""Plain chunks in memory, least recently used out first, each fetched once however many threads ask for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future

Plain = bytes | memoryview


class ChunkCache:
    """Chunks by number. Whoever is told that a chunk is missing must `fulfil` or `fail` it: others wait for it.

    :param limit: bytes that are kept; what is being fetched comes on top.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[int, Plain] = OrderedDict()
        self._awaited: dict[int, Future[Plain]] = {}
        self._lock = threading.Lock()

    def claim(self, numbers: Iterable[int]) -> tuple[dict[int, Plain | Future[Plain]], list[int]]:
        """What is known of each chunk, and those that the caller has to fetch, in the order asked."""
        found: dict[int, Plain | Future[Plain]] = {}
        missing: list[int] = []
        with self._lock:
            for number in numbers:
                if number in self._kept:
                    self._kept.move_to_end(number)
                    found[number] = self._kept[number]
                    continue
                if number not in self._awaited:
                    self._awaited[number] = Future()
                    missing.append(number)
                found[number] = self._awaited[number]
        return found, missing

    def fulfil(self, number: int, plain: Plain) -> None:
        """A claimed chunk is there."""
        with self._lock:
            waiting = self._awaited.pop(number)
            self._kept[number] = plain
            self._size += len(plain)
            while self._size > self._limit:
                self._size -= len(self._kept.popitem(last=False)[1])
        waiting.set_result(plain)

    def fail(self, number: int, error: BaseException) -> None:
        """A claimed chunk cannot be had; the next one who asks tries again."""
        with self._lock:
            waiting = self._awaited.pop(number)
        waiting.set_exception(error)
