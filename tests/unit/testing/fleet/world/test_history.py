from __future__ import annotations

import pytest

from drystone.testing.fleet.world.history import History, HistoryError

KEY = ("host", "k")


def add(history: History, kind: str, seq: int, value: str = "", *, begun: float = 0.0, ended: float = 100.0) -> None:
    """An operation that was answered."""
    operation = history.begin(kind, KEY, begun, value)
    operation.seq, operation.ended = seq, ended


def test_a_read_of_what_was_there_when_it_began_or_later_is_right() -> None:
    history = History()
    add(history, "put", 1, "v1", begun=1, ended=2)
    add(history, "put", 2, "v2", begun=3, ended=6)
    add(history, "get", 1, "v1", begun=4, ended=5)
    add(history, "get", 2, "v2", begun=4, ended=5)
    history.check()


@pytest.mark.parametrize(("seq", "value"), [(1, "v1"), (0, "")])
def test_a_read_of_something_older_is_found(seq: int, value: str) -> None:
    history = History()
    add(history, "put", 1, "v1", begun=1, ended=2)
    add(history, "put", 2, "v2", begun=3, ended=4)
    add(history, "get", seq, value, begun=5, ended=6)
    with pytest.raises(HistoryError, match="came after"):
        history.check()


def test_a_value_that_comes_back_after_nothing_was_read_is_found() -> None:
    history = History()
    add(history, "put", 1, "v1", begun=1, ended=2)
    add(history, "get", 2, begun=3, ended=4)
    add(history, "get", 1, "v1", begun=5, ended=6)
    with pytest.raises(HistoryError, match="came after"):
        history.check()


def test_a_value_that_comes_back_under_a_new_number_is_found() -> None:
    history = History()
    add(history, "put", 1, "v1", begun=1, ended=2)
    add(history, "get", 2, "v2", begun=3, ended=4)
    add(history, "get", 3, "v1", begun=5, ended=6)
    with pytest.raises(HistoryError, match="is there again"):
        history.check()


@pytest.mark.parametrize(("seq", "begun", "ended"), [(0, 1.5, 4), (2, 3, 5.5)], ids=["it was first", "it is not over"])
def test_a_value_that_may_have_come_later_has_not_come_back(seq: int, begun: float, ended: float) -> None:
    history = History()
    add(history, "put", 1, "v1", begun=1, ended=2)
    add(history, "get", seq, "v0", begun=begun, ended=ended)
    add(history, "get", 1, "v1", begun=5, ended=6)
    history.check()


@pytest.mark.parametrize("times", [1, 2])
def test_a_question_that_came_twice_was_done_twice(times: int) -> None:
    history = History()
    add(history, "put", 1, "v1", begun=1, ended=2)
    history.operations[0].times = times
    add(history, "put", 2, "v2", begun=3, ended=4)
    add(history, "get", 3, "v1", begun=5, ended=6)
    if times == 1:
        with pytest.raises(HistoryError, match="is there again"):
            history.check()
    else:
        history.check()


def test_two_values_of_one_number_are_found() -> None:
    history = History()
    add(history, "put", 1, "v1")
    add(history, "get", 1, "v2")
    with pytest.raises(HistoryError, match="the same change"):
        history.check()


def test_what_was_created_found_nothing() -> None:
    history = History()
    add(history, "create", 1, "v1")
    add(history, "create", 3, "v3")
    with pytest.raises(HistoryError, match="though there was"):
        history.check()
    history.removals[KEY] = {2}  # acknowledged or not: it may have been gone
    history.check()


def test_two_servers_that_acknowledge_in_one_epoch_are_found() -> None:
    history = History()
    history.acknowledged("p1", 3, "s1")
    history.acknowledged("p1", 3, "s1")
    history.acknowledged("p1", 4, "s2")
    with pytest.raises(HistoryError, match="two leaders"):
        history.acknowledged("p1", 3, "s2")
