"""Work ahead: in order, within bounds, and over when the caller stops."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

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
