"""Groups of actions: each action once, a group in one thread and in order, failures told; threads where one waits."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from drystone.kernel.together import MOST_THREADS, run_together

ALWAYS = -1.0
NEVER = 1e9


@pytest.mark.parametrize("worth_s", [ALWAYS, NEVER])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 100])
def test_every_action_is_done_once_and_a_group_in_order(count: int, worth_s: float) -> None:
    done: list[tuple[int, int, int]] = []

    def act(group: int, place: int) -> None:
        done.append((group, place, threading.get_ident()))

    run_together([[partial(act, group, place) for place in range(3)] for group in range(count)], worth_s=worth_s)
    assert sorted((group, place) for group, place, _ in done) == [(g, p) for g in range(count) for p in range(3)]
    for group in range(count):
        own = [(place, thread) for number, place, thread in done if number == group]
        assert [place for place, _ in own] == [0, 1, 2]
        assert len({thread for _, thread in own}) == 1


def test_threads_are_started_when_more_waiting_lies_ahead_than_they_cost() -> None:
    threads: list[int] = []

    def wait() -> None:
        time.sleep(0.02)
        threads.append(threading.get_ident())

    run_together([[wait] for _ in range(10)], worth_s=0.1)
    own = threading.get_ident()
    assert threads[0] == own
    assert own not in threads[1:], "nine times 20 ms lay ahead"
    threads.clear()
    run_together([[wait] for _ in range(3)], worth_s=60.0)
    assert set(threads) == {own}


def test_there_are_not_more_threads_than_allowed() -> None:
    names: set[str] = set()
    run_together([[lambda: names.add(threading.current_thread().name)] for _ in range(200)], worth_s=ALWAYS)
    assert 1 <= len(names) <= MOST_THREADS + 1


@pytest.mark.parametrize("worth_s", [ALWAYS, NEVER])
def test_the_first_failure_is_raised_when_all_were_tried(worth_s: float) -> None:
    tried: list[int] = []

    def act(number: int) -> None:
        tried.append(number)
        if number in (2, 5):
            raise ValueError(number)

    with pytest.raises(ValueError, match="2"):
        run_together([[partial(act, number)] for number in range(8)], worth_s=worth_s)
    assert sorted(tried) == list(range(8))
