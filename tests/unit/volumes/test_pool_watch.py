"""The watch over the pools: a line for each change of a state, and none while it lasts."""

from __future__ import annotations

import logging
import threading

import pytest

from drystone.base.errors import DrystoneError
from drystone.volumes.abilities import PoolReport
from drystone.volumes.pool_watch import PoolWatch


def report(state: str) -> list[PoolReport]:
    return [PoolReport("p", "devicemapper", state, "why" if state != "ok" else "")]


def test_a_line_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    seen = iter(["ok", "low", "low", "full", "low", "ok", "ok", "failed"])
    watch = PoolWatch(lambda: report(next(seen)))
    with caplog.at_level(logging.INFO):
        for _ in range(8):
            watch.look()
    lines = [(each.levelname, each.getMessage().split(";")[0]) for each in caplog.records]
    assert lines == [
        ("WARNING", "pool p is low: why"),
        ("WARNING", "pool p is full: why"),
        ("WARNING", "pool p is low: why"),
        ("INFO", "pool p has room again"),
        ("WARNING", "pool p is failed: why"),
    ]
    assert "drystone volume pool extend" in caplog.messages[0]


def test_it_outlives_what_fails(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[list[PoolReport] | Exception] = [
        DrystoneError("gone"),
        DrystoneError("gone"),
        KeyError(),  # a defect in somebody's driver
        report("low"),
    ]

    def look() -> list[PoolReport]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = PoolWatch(look)
    for _ in range(4):
        watch.look()
    assert [each.split(";")[0] for each in caplog.messages] == [
        "the pools cannot be looked at: gone",
        "the pools cannot be looked at: KeyError",
        "pool p is low: why",
    ]


def test_it_looks_at_once_and_again_until_it_is_over() -> None:
    looks = threading.Semaphore(0)

    def look() -> list[PoolReport]:
        looks.release()
        return []

    with PoolWatch(look, seconds=0.01).watching():
        for _ in range(3):
            assert looks.acquire(timeout=10)
    assert not [each for each in threading.enumerate() if each.name == "pool-watch"]
