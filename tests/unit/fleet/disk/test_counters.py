from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from drystone.base.errors import UnavailableError
from drystone.fleet.disk.counters import Counters
from drystone.fleet.disk.index import Index
from drystone.fleet.replica import make_seq


def test_numbers_grow_and_begin_anew_with_an_epoch(index: Index) -> None:
    counters = Counters(index)
    assert [counters.take(1, 5) for _ in range(3)] == [make_seq(5, each) for each in (1, 2, 3)]
    assert counters.take(2, 5) == make_seq(5, 1)
    assert counters.take(1, 6) == make_seq(6, 1)


def test_after_a_restart_none_is_given_again(index: Index) -> None:
    before = {Counters(index).take(1, 5) for _ in range(1)}
    for _ in range(3):
        counters = Counters(index)
        again = {counters.take(1, 5) for _ in range(20)}
        assert min(again) > max(before)
        before |= again


@pytest.mark.parametrize("restarts", [False, True])
def test_an_epoch_that_is_over_gives_no_more(index: Index, *, restarts: bool) -> None:
    counters = Counters(index)
    counters.take(1, 5)
    counters.take(1, 6)
    counters = Counters(index) if restarts else counters
    with pytest.raises(UnavailableError, match="epoch 5 is over"):
        counters.take(1, 5)
    assert counters.settled(1, 5) < counters.take(1, 6)


def test_many_take_at_once(index: Index) -> None:
    counters = Counters(index)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: counters.take(1, 5), range(400)))
    assert sorted(taken) == [make_seq(5, each) for each in range(1, 401)]


def test_what_is_open_holds_pages_back(index: Index) -> None:
    counters = Counters(index)
    assert counters.settled(1, 5) == make_seq(5, 0)
    first, second = counters.take(1, 5), counters.take(1, 5)
    assert counters.settled(1, 5) == first - 1
    counters.end(1, second)
    assert counters.settled(1, 5) == first - 1
    counters.end(1, first)
    counters.end(1, first)
    assert counters.settled(1, 5) == second
    third = counters.take(1, 5)
    assert counters.settled(1, 6) == third - 1, "a change of an earlier epoch is still open"
    counters.end(1, third)
    assert counters.settled(1, 6) == make_seq(6, 0)


def test_after_a_restart_a_page_covers_what_was_given_before(index: Index) -> None:
    given = Counters(index).take(1, 5)
    counters = Counters(index)
    settled = counters.settled(1, 5)
    assert settled >= given
    assert counters.take(1, 5) > settled
