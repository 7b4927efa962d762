"""A store with a rate: the conformance check, and what is waited for, with a clock under control."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from drystone.base.errors import UsageError
from drystone.store import Store
from drystone.store.limited import LimitedStore, TokenBucket
from drystone.testing.stores import CONFORMANCE, MemoryStore


class FakeTime:
    """Seconds that pass by pausing only."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


@pytest.mark.parametrize("check", CONFORMANCE, ids=[check.__name__ for check in CONFORMANCE])
def test_it_conforms(check: Callable[[Store], None]) -> None:
    check(LimitedStore(MemoryStore(), TokenBucket(1e12)))


def test_what_is_put_and_got_takes_its_time() -> None:
    time = FakeTime()
    store = LimitedStore(MemoryStore(), TokenBucket(1000, time.now, time.pause))
    assert store.put_if_absent("a", bytes(1000))
    assert time.pauses == [], "a second's worth is there at the beginning"
    assert store.put_if_absent("b", bytes(5000))
    assert time.pauses == [5.0], "before it is put"
    assert len(store.get("b")) == 5000
    assert len(store.get_range("b", 10, 250)) == 250
    assert time.pauses == [5.0, 5.0, 0.25]
    store.delete("a")
    assert list(store.list("")) == [("b", 5000)]
    assert time.seconds == 110.25


def test_an_idle_store_saves_up_one_second_only() -> None:
    time = FakeTime()
    bucket = TokenBucket(10, time.now, time.pause)
    time.seconds += 3600
    bucket.take(10)
    bucket.take(30)
    assert time.pauses == [3.0]


def test_threads_share_the_rate() -> None:
    time = FakeTime()
    lock = threading.Lock()
    asked: list[float] = []

    def pause(seconds: float) -> None:
        with lock:
            asked.append(seconds)

    bucket = TokenBucket(100, time.now, pause)
    threads = [threading.Thread(target=bucket.take, args=(100,)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(asked) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "each waits for those before it too"


def test_no_rate() -> None:
    with pytest.raises(UsageError):
        TokenBucket(0)
