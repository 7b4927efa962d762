"""Hints are heard from a broker that goes away, hangs, lies, or passes nothing on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pytest

from drystone.cluster.queue.hint import Hint, encode_hint
from drystone.cluster.queue.listening import Listener

from .fakes import FakeBroker

DB = Hint("dlv", "db")


class Heard:
    """Notes what is handed over."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []

    def __call__(self, hints: Collection[Hint]) -> None:
        self.hints += hints


@contextmanager
def listening(broker: FakeBroker) -> Iterator[Heard]:
    heard, stop = Heard(), threading.Event()
    listener = Listener(broker.connect, echo=0.02, silence=0.2, pause=0.01)
    thread = threading.Thread(target=listener.run, args=(heard, stop))
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        broker.hang.set()
        thread.join(10)
        assert not thread.is_alive()


def eventually(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_hints_are_handed_over_and_nothing_else() -> None:
    broker = FakeBroker()
    with listening(broker) as heard:
        eventually(lambda: broker.connections == 1)
        for message in (b"nonsense", encode_hint(Hint("echo", "another")), encode_hint(DB), encode_hint(DB)):
            broker.spread(message)
        eventually(lambda: bool(heard.hints))
        time.sleep(0.05)
    assert set(heard.hints) == {DB}


def test_a_connection_that_fails_is_followed_by_another(caplog: pytest.LogCaptureFixture) -> None:
    broker = FakeBroker()
    with caplog.at_level(logging.WARNING), listening(broker) as heard:
        eventually(lambda: broker.connections == 1)
        broker.is_away = True
        eventually(lambda: len(caplog.records) == 1)
        time.sleep(0.1)
        broker.is_away = False
        eventually(lambda: broker.connections == 2)
        broker.spread(encode_hint(DB))
        eventually(lambda: heard.hints == [DB])
        eventually(lambda: len(caplog.records) == 2)
    assert "work is found by rounds alone: nobody listens" in caplog.records[0].getMessage()


def test_who_does_not_hear_the_own_echo_makes_another_connection(caplog: pytest.LogCaptureFixture) -> None:
    broker = FakeBroker()
    broker.is_deaf = True
    with caplog.at_level(logging.WARNING), listening(broker) as heard:
        eventually(lambda: broker.connections >= 3)
        broker.is_deaf = False
        eventually(lambda: len(caplog.records) == 2)
        broker.spread(encode_hint(DB))
        eventually(lambda: heard.hints == [DB])
    assert "passes nothing on for 0.2 s" in caplog.records[0].getMessage()
