"""API servers as processes: killed while they work, with what they answered kept, and done once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from drystone.base.errors import BusyError, UnavailableError, UsageError
from drystone.cluster.api.service import listen_on
from drystone.cluster.model.extents import EXTENT
from drystone.testing import postgresql
from drystone.testing.cluster.client import GIB
from drystone.testing.cluster.processes import ApiProcess
from drystone.testing.postgresql import PostgreSql


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ApiProcess, ApiProcess]]:
    """Two servers over one database, with a dvg `fast` of two dpvs."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/cluster.db"
        if request.param == "postgresql":
            if why := postgresql.why_absent():
                pytest.skip(why)
            url = stack.enter_context(PostgreSql()).make_database()
        one = stack.enter_context(ApiProcess(tmp_path, url))
        two = stack.enter_context(ApiProcess(tmp_path, url))
        for name in ("d1", "d2"):
            wanted = {"name": name, "address": "a:1", "portal": "a:2", "size": 100 * GIB}
            one.must("POST", "/dpvs", wanted)
            one.must("POST", f"/dpvs/{name}/available", {})
        one.must("POST", "/dvgs", {"name": "fast", "dpvs": ["d1", "d2"]})
        yield one, two


def test_what_a_killed_server_answered_is_there_and_was_done_once(servers: tuple[ApiProcess, ApiProcess]) -> None:
    """A client that gets no answer asks the other server, with the same key."""
    stop = threading.Event()
    answered: dict[str, str] = {}
    again = 0

    def create() -> None:
        nonlocal again
        number = 0
        while not stop.is_set():
            number += 1
            name = f"db{number}"
            wanted = {"name": name, "dvg": "fast", "size": EXTENT}
            turn = 0
            while name not in answered:
                try:
                    answer = servers[turn % 2].send("POST", "/dlvs", wanted, key=name)
                    assert answer.status_code in {202, 503}, answer.text
                    if answer.status_code == 202:
                        answered[name] = answer.json()["id"]
                except httpx.TransportError:
                    again += 1
                turn += 1

    writer = threading.Thread(target=create)
    writer.start()
    for _ in range(4):
        time.sleep(0.7)
        servers[0].kill()
        servers[0].start()
    stop.set()
    writer.join()
    dlvs = servers[1].must("GET", "/dlvs?limit=1000")["items"]
    assert {each["name"]: each["id"] for each in dlvs} == answered
    assert sum(dpv["used"] for dpv in servers[0].must("GET", "/dpvs")["items"]) == 4 * len(dlvs)
    events = servers[0].must("GET", "/events?limit=1000&kind=dlv")["items"]
    assert [each["subject"] for each in events] == list(answered)
    assert again > 0, "no request was cut off: this showed nothing"


def test_a_server_that_is_told_to_ends_in_order(servers: tuple[ApiProcess, ApiProcess]) -> None:
    one, two = servers
    assert one.stop() == 0
    assert two.must("GET", "/health") == {"database": "answers", "queue": "database"}


def test_an_address_that_cannot_be_had_is_told() -> None:
    with listen_on("127.0.0.1:0") as handle:
        assert handle.proto == socket.IPPROTO_TCP, "else every answer waits 40 ms for an acknowledgement"
        with pytest.raises(BusyError), listen_on(f"127.0.0.1:{handle.getsockname()[1]}"):
            pass
        with pytest.raises(UnavailableError), listen_on("192.0.2.1:80"):
            pass
        with pytest.raises(UsageError), listen_on("nowhere"):
            pass
