"""The mapper's database on PostgreSQL: the same checks as SQLite's, and two mappers over one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.fleet.mapping.database import Database
from drystone.fleet.mapping.sql import SqlDatabase
from drystone.testing.fleet.audit_log import check_moved_entries
from drystone.testing.fleet.database import CHECKS
from drystone.testing.fleet.processes import FleetProcesses, wait_until
from drystone.testing.postgresql import PostgreSql, why_absent

pytestmark = pytest.mark.skipif(bool(why_absent()), reason=why_absent())


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with PostgreSql() as started:
        yield started


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.__name__)
def test_conformance(check: Callable[[Database], None], server: PostgreSql) -> None:
    database = SqlDatabase(server.make_database())
    database.open()
    try:
        check(database)
    finally:
        database.close()


def test_a_second_process_opens_what_the_first_one_made(server: PostgreSql) -> None:
    url = server.make_database()
    databases = [SqlDatabase(url), SqlDatabase(url)]
    for each in databases:
        each.open()
    assert databases[0].load().fleet == databases[1].load().fleet
    lease = databases[0].take_lease("one", "http://one", 60)
    assert databases[1].take_lease("two", "http://two", 60) == lease
    for each in databases:
        each.close()


def test_older_entries_of_the_audit_log_go_to_files(server: PostgreSql, tmp_path: Path) -> None:
    database = SqlDatabase(server.make_database())
    database.open()
    try:
        check_moved_entries(database, tmp_path / "audit", seed=1)
    finally:
        database.close()


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(UnavailableError, match="database"):
        SqlDatabase("postgresql://nobody@/none?host=/nonexistent").open()


def test_two_mappers_over_one_database(server: PostgreSql, tmp_path: Path) -> None:
    with FleetProcesses(tmp_path, mappers=2, disks=1, database=server.make_database()) as fleet:
        fleet.start()
        url = fleet.storage[0].url
        assert fleet.client.ask(url, "PUT", "/bucket").status == 200
        assert fleet.client.ask(url, "PUT", "/bucket/host/one", body=b"before").status == 200
        fleet.mappers[0].kill()
        wait_until("the other mapper leads", lambda: fleet.status() is not None)
        wait_until(
            "a new host is placed by it",
            lambda: fleet.client.ask(url, "PUT", "/bucket/other/two", body=b"after").status == 200,
        )
        assert fleet.client.ask(url, "GET", "/bucket/host/one").body == b"before"
