"""Servers that are cut off from one another while clients reach all: no two write, and none tells what is old."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from drystone.testing.fleet.client import LostError, Reply
from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until

BUCKET = "cuts"
Cut = Literal["hold", "reset"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    """Two servers with a disk each, whose clients are not made to wait for long while nobody can lead."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    with FleetProcesses(folder, disks=1, storage_words=("--patience", "2")) as started:
        started.start()
        assert started.client.ask(started.storage[0].url, "PUT", f"/{BUCKET}").status == 200
        yield started


@pytest.fixture
def fleet(servers: FleetProcesses) -> Iterator[FleetProcesses]:
    """The same for every test: whole, with one object as it was put first."""
    wait_until("all is protected", servers.is_protected)
    assert put(servers, servers.storage[0], b"first") == 200
    yield servers
    for each in servers.everybody:
        each.resume()
    heal(servers, *itertools.combinations(servers.everybody, 2))


def ask(fleet: FleetProcesses, server: Server, method: str, body: bytes = b"") -> Reply | None:
    """None: no answer in time."""
    try:
        return fleet.client.ask(server.url, method, f"/{BUCKET}/host/file", body=body)
    except LostError:
        return None


def put(fleet: FleetProcesses, server: Server, body: bytes) -> int:
    reply = ask(fleet, server, "PUT", body)
    return reply.status if reply is not None else 0


def find_leader(fleet: FleetProcesses) -> str:
    return next(each.leader for each in fleet.map().placements if each.host == "host")


def find_servers(fleet: FleetProcesses) -> tuple[Server, Server]:
    """The leader and the other one."""
    leader = find_leader(fleet)
    first, second = fleet.storage
    return (first, second) if first.name == leader else (second, first)


def cut(fleet: FleetProcesses, how: Cut, *pairs: tuple[Server, Server]) -> None:
    for one, other in pairs:
        fleet.network.cut(one.name, other.name, how)
        fleet.network.cut(other.name, one.name, how)


def heal(fleet: FleetProcesses, *pairs: tuple[Server, Server]) -> None:
    for one, other in pairs:
        fleet.network.heal(one.name, other.name)
        fleet.network.heal(other.name, one.name)


@pytest.mark.parametrize("how", ["hold", "reset"])
def test_a_leader_that_is_alone_neither_takes_nor_tells(fleet: FleetProcesses, how: Cut) -> None:
    leader, other = find_servers(fleet)
    pairs = ((leader, other), (leader, fleet.mappers[0]))
    cut(fleet, how, *pairs)
    assert put(fleet, leader, b"lost") != 200
    wait_until("the other one takes a write", lambda: put(fleet, other, b"second") == 200)
    reply = ask(fleet, leader, "GET")
    assert reply is None or reply.status >= 500, reply
    assert put(fleet, leader, b"lost") != 200
    heal(fleet, *pairs)
    wait_until("all is protected", fleet.is_protected)
    for server in fleet.storage:
        reply = ask(fleet, server, "GET")
        assert reply is not None
        assert reply.body == b"second", "what arrived late counts no more"
    assert put(fleet, leader, b"third") == 200
    reply = ask(fleet, other, "GET")
    assert reply is not None
    assert reply.body == b"third"


@pytest.mark.parametrize("how", ["hold", "reset"])
def test_a_leader_that_mappers_do_not_hear_goes_on_through_the_other(fleet: FleetProcesses, how: Cut) -> None:
    leader, other = find_servers(fleet)
    pair = (leader, fleet.mappers[0])
    cut(fleet, how, pair)
    wait_until("the other one leads", lambda: find_leader(fleet) == other.name)
    wait_until("it takes a write", lambda: put(fleet, other, b"second") == 200)
    for number in range(5):
        reply = ask(fleet, leader, "GET")
        assert reply is None or reply.status >= 500 or reply.body == b"second"
        time.sleep(0.1 * number)
    heal(fleet, pair)
    wait_until("all is protected", fleet.is_protected)


@pytest.mark.parametrize("how", ["hold", "reset"])
def test_two_servers_that_do_not_hear_each_other(fleet: FleetProcesses, how: Cut) -> None:
    """Both are heard by the mapper: the leader goes on alone, degraded, and the other tells nothing old."""
    leader, other = find_servers(fleet)
    cut(fleet, how, (leader, other))
    wait_until("the leader takes a write", lambda: put(fleet, leader, b"second") == 200)
    reply = ask(fleet, leader, "GET")
    assert reply is not None
    assert reply.body == b"second"
    reply = ask(fleet, other, "GET")
    assert reply is None or reply.status >= 500 or reply.body == b"second"
    assert is_degraded(fleet), "one copy is said to be one"
    heal(fleet, (leader, other))
    wait_until("all is protected", fleet.is_protected)
    reply = ask(fleet, other, "GET")
    assert reply is not None
    assert reply.body == b"second"


def test_a_listing_has_hosts_that_are_new_since_the_mapper_was_not_heard(fleet: FleetProcesses) -> None:
    one, other = fleet.storage
    pair = (one, fleet.mappers[0])
    cut(fleet, "reset", pair)

    def is_put() -> bool:
        return fleet.client.ask(other.url, "PUT", f"/{BUCKET}/new-host/file", body=b"new").status == 200

    wait_until("a new host is taken", is_put)
    found: list[tuple[int, dict[str, str]]] = []

    def is_listed() -> bool:
        found.append(fleet.client.list_keys(one.url, BUCKET, "new-host/"))
        return found[-1][0] == 200

    wait_until("it can be listed", is_listed)
    assert list(found[-1][1]) == ["new-host/file"]
    heal(fleet, pair)
    wait_until("all is protected", fleet.is_protected)
    assert fleet.client.ask(other.url, "DELETE", f"/{BUCKET}/new-host/file").status == 204


@pytest.mark.parametrize("how", ["hold", "reset"])
def test_reads_go_on_at_a_leader_that_the_other_one_promises_nothing(fleet: FleetProcesses, how: Cut) -> None:
    """The mapper hears both, so it is for the leader to have the other one dropped, though nobody writes."""
    leader, other = find_servers(fleet)
    cut(fleet, how, (leader, other))
    wait_until("the other one is dropped", lambda: ask(fleet, leader, "GET") is not None and is_degraded(fleet))
    reply = ask(fleet, leader, "GET")
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"first")
    heal(fleet, (leader, other))
    wait_until("all is protected", fleet.is_protected)


def is_degraded(fleet: FleetProcesses) -> bool:
    status = fleet.status()
    return status is not None and {each.state for each in status.hosts if each.host == "host"} == {"degraded"}


def test_a_leader_that_hung_tells_nothing_old(fleet: FleetProcesses) -> None:
    """Asked while it hangs, it answers when it goes on: by then another one has taken a write."""
    for number in range(3):
        check_a_hang(fleet, *find_servers(fleet), f"body {number}".encode())


def check_a_hang(fleet: FleetProcesses, leader: Server, other: Server, body: bytes) -> None:
    leader.hang()
    wait_until("the other one takes a write", lambda: put(fleet, other, body) == 200)
    leader.resume()
    for _ in range(10):
        reply = ask(fleet, leader, "GET")
        assert reply is None or reply.status >= 500 or reply.body == body
    wait_until("all is protected", fleet.is_protected)
