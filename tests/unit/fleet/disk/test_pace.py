from __future__ import annotations

import pytest

from drystone.fleet.disk.pace import Pace


class Time:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_the_rate_holds_on_average() -> None:
    time = Time()
    pace = Pace(1000.0, now=time.now, sleep=time.sleep)
    for _ in range(100):
        assert pace.spend(500)
    assert time.at == pytest.approx(100 + 50 - 1, abs=0.6)


def test_a_pause_is_not_saved_up() -> None:
    time = Time()
    pace = Pace(1000.0, now=time.now, sleep=time.sleep)
    pace.spend(1000)
    time.at += 1000
    begun = time.at
    for _ in range(10):
        pace.spend(1000)
    assert time.at - begun == pytest.approx(9, abs=0.6)


def test_it_stops_while_it_waits() -> None:
    time = Time()
    pace = Pace(1.0, lambda: time.at > 103, now=time.now, sleep=time.sleep)
    assert not pace.spend(1_000_000)
    assert time.at < 105


def test_no_rate_is_no_wait() -> None:
    assert Pace(sleep=lambda _: pytest.fail("waited")).spend(1 << 60)
