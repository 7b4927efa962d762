"""Work ahead: in order, within bounds, and over when the caller stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from drystone.backup.pipeline import ordered


def test_results_come_in_order_and_few_are_begun() -> None:
    begun: list[int] = []
    taken = 0

    def items() -> Iterator[int]:
        for number in range(50):
            assert number - taken <= 4
            begun.append(number)
            yield number

    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * number

    with ThreadPoolExecutor(3) as pool:
        for number, result in enumerate(ordered(pool, work, items(), 4)):
            taken += 1
            assert result == number * number
    assert begun == list(range(50))


def test_a_caller_that_stops_leaves_nothing_running() -> None:
    ended: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.01)
        ended.append(number)
        return number

    with ThreadPoolExecutor(2) as pool:
        results = ordered(pool, work, range(100), 8)
        with closing(results):
            next(results)
        after = len(ended)
        time.sleep(0.03)
        assert len(ended) == after < 12


def test_what_has_not_begun_when_the_caller_stops_never_does() -> None:
    class Watched(ThreadPoolExecutor):
        last: Future[Any] | None = None

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.last = super().submit(fn, *args, **kwargs)
            return self.last

    gate = threading.Event()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number:
            gate.wait(60)
        return number

    def release() -> None:
        for _ in range(1000):
            if pool.last is not None and pool.last.cancelled():
                break
            time.sleep(0.005)
        gate.set()

    with Watched(1) as pool, closing(ordered(pool, work, range(100), 8)) as results:
        assert next(results) == 0
        threading.Thread(target=release, daemon=True).start()
    assert begun in ([0], [0, 1])


def test_an_error_comes_where_its_result_would() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError(number)
        return number

    seen: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        results = ordered(pool, work, range(10), 4)
        seen += [next(results), next(results), next(results)]
        with pytest.raises(ValueError, match="3"):
            next(results)
    assert seen == [0, 1, 2]
