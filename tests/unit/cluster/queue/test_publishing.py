"""Hints are given to a broker, and whoever gives them waits for nothing, whatever it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest

from drystone.cluster.queue.hint import Hint, decode_hint
from drystone.cluster.queue.publishing import WAITING_LIMIT, Publisher

from .fakes import FakeBroker

DB = Hint("dlv", "db")


def eventually(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_hints_are_sent_in_their_order() -> None:
    broker = FakeBroker()
    hints = [Hint("dlv", f"db{number}") for number in range(5)]
    with Publisher(broker.connect) as publisher:
        publisher.give(hints)
        eventually(lambda: len(broker.sent) == 5)
    assert [decode_hint(each) for each in broker.sent] == hints
    assert (publisher.counts.sent, publisher.counts.dropped, publisher.counts.state) == (5, 0, "connected")


def test_a_broker_that_was_started_anew_gets_the_hint_by_another_connection() -> None:
    broker = FakeBroker()
    with Publisher(broker.connect) as publisher:
        publisher.give([DB])
        eventually(lambda: len(broker.sent) == 1)
        broker.failures = 1
        publisher.give([DB])
        eventually(lambda: len(broker.sent) == 2)
    assert broker.connections == 2
    assert publisher.counts.dropped == 0


def test_a_broker_that_is_away_is_told_of_once_and_found_again(caplog: pytest.LogCaptureFixture) -> None:
    broker = FakeBroker()
    broker.is_away = True
    with caplog.at_level(logging.WARNING), Publisher(broker.connect, pause=0.01) as publisher:
        for number in range(3):
            publisher.give([DB])
            eventually(lambda dropped=number + 1: publisher.counts.dropped >= dropped)  # type: ignore[misc]
        assert publisher.counts.state == "away"
        broker.is_away = False
        publisher.give([DB])
        eventually(lambda: len(broker.sent) == 1)
        eventually(lambda: len(caplog.records) == 2)
    assert [each.getMessage() for each in caplog.records] == [
        "the queue: it takes no hints, work is found by rounds alone: nobody listens",
        "the queue works again",
    ]


def test_a_broker_that_hangs_keeps_nobody_and_what_waits_has_an_end() -> None:
    broker = FakeBroker()
    broker.hang.clear()
    begun = time.monotonic()
    with Publisher(broker.connect) as publisher:
        for number in range(3 * WAITING_LIMIT):
            publisher.give([Hint("dlv", f"db{number}"), DB])
        assert publisher.counts.dropped >= WAITING_LIMIT
        given = time.monotonic() - begun
    ended = time.monotonic() - begun - given
    broker.hang.set()
    assert given < 1
    assert ended < 2
