"""Hints through RabbitMQ and Redis, the real servers: heard when they work, and waited for by nobody when not."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from drystone.cluster.model.calls import LegsWish
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.queue.broker import KombuLink
from drystone.cluster.queue.hint import Hint, encode_hint
from drystone.cluster.queue.listening import Listener
from drystone.cluster.queue.publishing import Publisher
from drystone.testing.cluster.agents import NotingAgent, serving
from drystone.testing.cluster.brokers import BrokerServer, RabbitServer, RedisServer
from drystone.testing.cluster.client import GIB
from drystone.testing.cluster.processes import ApiProcess, MonitorProcess

DB = Hint("dlv", "db")
_SECONDS = 30.0
_LONG_PAUSE = 20.0
"""Seconds between two rounds: what is done before that was hinted at."""


@pytest.fixture(scope="module", params=[RedisServer, RabbitServer], ids=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Iterator[BrokerServer]:
    kind: type[BrokerServer] = request.param
    if why := kind.why_absent():
        pytest.skip(why)
    with kind() as started:
        yield started


class Heard:
    """What a listener hears while the block runs."""

    def __init__(self, url: str) -> None:
        self.hints: list[Hint] = []
        self._stop = threading.Event()
        listener = Listener(partial(KombuLink, url, listens=True), echo=0.3, silence=2.0, pause=0.1)
        self._thread = threading.Thread(target=listener.run, args=(self._take, self._stop))

    def _take(self, hints: Collection[Hint]) -> None:
        self.hints += hints

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def publishing(url: str) -> Iterator[Publisher]:
    with Publisher(partial(KombuLink, url, listens=False), pause=0.1) as publisher:
        yield publisher


def eventually(is_so: Callable[[], bool], again: Callable[[], object] = lambda: None) -> None:
    until = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < until
        again()
        time.sleep(0.05)


def test_all_who_listen_hear_what_is_hinted(broker: BrokerServer) -> None:
    with publishing(broker.url) as publisher, Heard(broker.url) as one, Heard(broker.url) as two:
        eventually(lambda: bool(one.hints and two.hints), lambda: publisher.give([DB]))
        assert {*one.hints, *two.hints} == {DB}
        assert publisher.counts.state == "connected"
        one.hints.clear()
        begun = time.monotonic()
        publisher.give([Hint("job", "j1")])
        eventually(lambda: Hint("job", "j1") in one.hints)
        assert time.monotonic() - begun < 2


def test_what_others_put_there_is_passed_over(broker: BrokerServer) -> None:
    link = KombuLink(broker.url, listens=False)
    try:
        with Heard(broker.url) as heard:

            def lie() -> None:
                for message in (b"", b"\x00\xff" * 1000, b"[" * 9000, b"x" * (1 << 20), encode_hint(DB)):
                    link.send(message)

            eventually(lambda: bool(heard.hints), lie)
            assert {*heard.hints} == {DB}
    finally:
        link.close()


def test_a_broker_that_was_killed_is_found_again(broker: BrokerServer, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, "drystone"),
        publishing(broker.url) as publisher,
        Heard(broker.url) as heard,
    ):
        eventually(lambda: bool(heard.hints), lambda: publisher.give([DB]))
        broker.kill()
        eventually(lambda: publisher.counts.state == "away", lambda: publisher.give([DB]))
        for _ in range(10):
            publisher.give([DB])
            time.sleep(0.02)
        broker.start()
        heard.hints.clear()
        eventually(lambda: bool(heard.hints), lambda: publisher.give([DB]))
        eventually(lambda: len(caplog.records) == 4)
    texts = sorted(each.getMessage() for each in caplog.records)
    assert [text.partition(",")[0] for text in texts] == [
        "the queue works again",
        "the queue works again",
        "the queue: it takes no hints",
        "the queue: nothing is heard from it",
    ]


def test_a_broker_that_hangs_is_waited_for_by_nobody(broker: BrokerServer) -> None:
    with publishing(broker.url) as publisher, Heard(broker.url) as heard:
        eventually(lambda: bool(heard.hints), lambda: publisher.give([DB]))
        broker.pause()
        try:
            begun = time.monotonic()
            for number in range(5000):
                publisher.give([Hint("dlv", f"db{number}")])
            assert time.monotonic() - begun < 1
            eventually(lambda: publisher.counts.state == "away", lambda: publisher.give([DB]))
            assert publisher.counts.dropped >= 3000
        finally:
            broker.resume()
        heard.hints.clear()
        eventually(lambda: DB in heard.hints, lambda: publisher.give([DB]))


def test_a_wrong_password_costs_a_warning(broker: BrokerServer, caplog: pytest.LogCaptureFixture) -> None:
    url = broker.url.replace("a-password", "another-password")
    with caplog.at_level(logging.WARNING, "drystone"), publishing(url) as publisher:
        publisher.give([DB])
        eventually(lambda: publisher.counts.dropped == 1)
        eventually(lambda: len(caplog.records) == 1)
    assert "password" not in caplog.text.replace("username-password", "")


class Cluster:
    """An API server, a monitor and two dpvs. :param queue: a broker's URL, or "". :param pause: between rounds."""

    def __init__(self, stack: ExitStack, folder: Path, queue: str, pause: float) -> None:
        self._dpvs = {name: NotingAgent(LegsWish) for name in ("d1", "d2")}
        addresses = stack.enter_context(serving(*self._dpvs.values()))
        url = f"sqlite:///{folder}/cluster.db"
        self.api = stack.enter_context(ApiProcess(folder, url, queue))
        self.monitor = stack.enter_context(MonitorProcess("m1", url, queue=queue, pause=pause))
        for name, address in zip(self._dpvs, addresses, strict=True):
            wanted = {"name": name, "address": address, "portal": "127.0.0.1:3260", "size": 100 * GIB}
            self.must("POST", "/dpvs", wanted)
            self.must("POST", f"/dpvs/{name}/available", {"reason": "it is here"})
        self.must("POST", "/dvgs", {"name": "fast", "dpvs": [*self._dpvs]})

    def must(self, method: str, path: str, body: object = None) -> Any:
        """An answer, which does not wait for the queue."""
        begun = time.monotonic()
        found = self.api.must(method, path, body)
        assert time.monotonic() - begun < 2
        return found

    def make(self, name: str) -> float:
        """Create a dlv; the seconds until it is made."""
        begun = time.monotonic()
        self.must("POST", "/dlvs", {"name": name, "dvg": "fast", "size": EXTENT})
        eventually(lambda: bool(self.must("GET", f"/dlvs/{name}")["status"] == "detached"))
        return time.monotonic() - begun


def test_a_monitor_does_at_once_what_the_queue_hints_at(broker: BrokerServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, tmp_path, broker.url, pause=_LONG_PAUSE)
        assert cluster.make("db1") < _LONG_PAUSE / 2
        assert cluster.must("GET", "/health")["queue"] == "connected"
        assert [cluster.api.stop(), cluster.monitor.stop()] == [0, 0]


def test_the_database_is_a_queue(tmp_path: Path) -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, tmp_path, "", pause=_LONG_PAUSE)
        assert cluster.make("db1") < _LONG_PAUSE / 2
        assert cluster.must("GET", "/health")["queue"] == "database"


def test_a_queue_that_never_answers_is_waited_for_by_nobody(tmp_path: Path) -> None:
    """Work is found by rounds."""
    with socket.socket() as silent, ExitStack() as stack:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        cluster = Cluster(stack, tmp_path, f"amqp://127.0.0.1:{silent.getsockname()[1]}//", pause=0.1)
        cluster.make("db1")
        eventually(lambda: bool(cluster.must("GET", "/health")["queue"] == "away"))
        assert [cluster.api.stop(), cluster.monitor.stop()] == [0, 0]
