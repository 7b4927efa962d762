"""Several mappers over one database, of SQLite or PostgreSQL: one leads, another takes over; most goes on without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until
from drystone.testing.postgresql import PostgreSql, why_absent

BUCKET = "mapped"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSql]:
    if why := why_absent():
        pytest.skip(why)
    with PostgreSql() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FleetProcesses]:
    """Two mappers and two storage servers, with a bucket and an object in it."""
    database = ""
    if request.param == "postgresql":
        server: PostgreSql = request.getfixturevalue("postgresql")
        database = server.make_database()
    with FleetProcesses(tmp_path / "fleet", mappers=2, disks=2, database=database) as started:
        begin(started)
        yield started


def begin(fleet: FleetProcesses) -> None:
    fleet.start()
    assert fleet.client.ask(fleet.storage[0].url, "PUT", f"/{BUCKET}").status == 200
    assert put(fleet, "host/file") == 200


def put(fleet: FleetProcesses, key: str, server: int = 0) -> int:
    return fleet.client.ask(fleet.storage[server].url, "PUT", f"/{BUCKET}/{key}", body=key.encode()).status


def get(fleet: FleetProcesses, key: str, server: int = 0) -> bytes:
    return fleet.client.ask(fleet.storage[server].url, "GET", f"/{BUCKET}/{key}").body


def wait_for_put(fleet: FleetProcesses, key: str) -> None:
    wait_until(f"{key} is written", lambda: put(fleet, key) == 200)


def term_of(mapper: Server) -> int:
    """The term in which it leads, 0 when it does not lead."""
    try:
        found = httpx.get(f"{mapper.url}/health", timeout=5, trust_env=False).json()
    except httpx.HTTPError:
        return 0
    return int(found["term"]) if found["leads"] else 0


def find_leader(fleet: FleetProcesses) -> Server:
    """The mapper that leads, when there is one."""
    found: list[Server] = []

    def one_leads() -> bool:
        found[:] = [each for each in fleet.mappers if not each.hung and term_of(each)]
        return len(found) == 1

    wait_until("one mapper leads", one_leads)
    return found[0]


def test_another_mapper_takes_over(fleet: FleetProcesses) -> None:
    first = find_leader(fleet)
    term = term_of(first)
    first.kill()
    wait_for_put(fleet, "new/file")
    second = find_leader(fleet)
    assert second is not first
    assert term_of(second) > term
    assert get(fleet, "new/file", 1) == b"new/file"
    # The new one decides too: a server dies, and what it led goes on.
    victim = fleet.storage[1]
    victim.kill()
    for key in ("host/file", "new/file"):
        wait_for_put(fleet, key)
    victim.start()
    first.start()
    wait_until("all is protected", fleet.is_protected)
    assert second.stop() == 0
    wait_for_put(fleet, "third/file")
    assert find_leader(fleet) is first


def test_a_mapper_that_hung_leads_no_more(fleet: FleetProcesses) -> None:
    first = find_leader(fleet)
    first.hang()
    wait_for_put(fleet, "new/file")
    second = find_leader(fleet)
    assert second is not first
    epochs = {each.id: each.epoch for each in fleet.map().placements}
    first.resume()
    assert find_leader(fleet) is second
    wait_until("all is protected", fleet.is_protected)
    assert put(fleet, "third/file", 1) == 200
    assert all(each.epoch >= epochs.get(each.id, 0) for each in fleet.map().placements)


def test_hosts_that_are_placed_need_no_mapper(fleet: FleetProcesses) -> None:
    for mapper in fleet.mappers:
        mapper.kill()
    for server in (0, 1):
        assert put(fleet, "host/more", server) == 200
        assert get(fleet, "host/more", server) == b"host/more"
        assert get(fleet, "host/file", server) == b"host/file"
    assert put(fleet, "unplaced/file") == 503
    for mapper in fleet.mappers:
        mapper.start()
    wait_for_put(fleet, "unplaced/file")


@pytest.mark.skipif(bool(why_absent()), reason=why_absent())
def test_without_the_database_nothing_is_decided_and_what_is_placed_goes_on(tmp_path: Path) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(PostgreSql())
        fleet = FleetProcesses(tmp_path / "fleet", disks=2, database=database.make_database())
        begin(stack.enter_context(fleet))
        database.kill()
        assert put(fleet, "host/more", 1) == 200
        assert get(fleet, "host/more") == b"host/more"
        assert put(fleet, "unplaced/file") == 503
        database.start()
        wait_for_put(fleet, "unplaced/file")
        # A database that hangs is one that is gone.
        database.pause()
        assert put(fleet, "host/again") == 200
        assert get(fleet, "host/again", 1) == b"host/again"
        assert put(fleet, "unheard/file") == 503
        database.resume()
        wait_for_put(fleet, "unheard/file")
        assert fleet.mappers[0].stop() == 0
