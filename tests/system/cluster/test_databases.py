"""The cluster's state on the three databases, the real servers: one code, the same promises."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from drystone.base.errors import UnavailableError, UnsupportedError, UsageError
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.state.database import Database
from drystone.cluster.state.schema import TABLES
from drystone.testing import postgresql
from drystone.testing.cluster import mariadb
from drystone.testing.cluster.client import Client, open_client
from drystone.testing.cluster.mariadb import MariaDb
from drystone.testing.postgresql import PostgreSql

Server = PostgreSql | MariaDb

# PyMySQL 1.2 leaves the socket of a connection that was refused to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


SERVERS = pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True, scope="module")
"""Without SQLite, which has none."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    """A server that runs, None for SQLite."""
    kinds: dict[str, tuple[str, Callable[[], Server]]] = {
        "postgresql": (postgresql.why_absent(), PostgreSql),
        "mariadb": (mariadb.why_absent(), MariaDb),
    }
    if request.param == "sqlite":
        yield None
        return
    why, start = kinds[request.param]
    if why:
        pytest.skip(why)
    with start() as started:
        yield started
    gc.collect()  # of what was refused, while the warnings are as above


@pytest.fixture
def url(server: Server | None, tmp_path: Path) -> str:
    """A database with nothing in it."""
    return f"sqlite:///{tmp_path}/cluster.db" if server is None else server.make_database()


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Client, Client]]:
    """Two API servers over one database."""
    with open_client(url) as one, open_client(url) as two:
        yield one, two


def at_once(*actions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def used(client: Client) -> dict[str, int]:
    return {dpv["name"]: dpv["used"] for dpv in client.must("GET", "/dpvs")["items"]}


def test_migrations_lead_to_the_tables_of_the_code(url: str) -> None:
    database = Database(url)
    database.open()
    try:
        left = database.read(lambda connection: compare_metadata(MigrationContext.configure(connection), TABLES))
        assert left == []
    finally:
        database.close()


def test_servers_that_start_at_once_migrate_once(url: str) -> None:
    failed: list[BaseException] = []

    def start() -> None:
        database = Database(url)
        try:
            database.open()
            database.close()
        except BaseException as error:  # noqa: BLE001  # a thread's errors are looked at below
            failed.append(error)

    at_once(*[start] * 4)
    assert failed == []
    with open_client(url) as client:
        client.make_dpvs("d1")
        assert client.events() == [("registered", "dpv", "d1"), ("available", "dpv", "d1")]


def test_a_database_of_a_newer_release_is_left_alone(url: str) -> None:
    with open_client(url) as client:
        client.desk.database.change(
            lambda work: work.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        )
    with pytest.raises(UnsupportedError, match="9999"):
        Database(url).open()


def test_names_differ_when_their_bytes_do(pair: tuple[Client, Client]) -> None:
    one, _ = pair
    one.make_dpvs("db", "Db", "dB", "d.", "d-")
    assert [each["name"] for each in one.must("GET", "/dpvs")["items"]] == ["Db", "d-", "d.", "dB", "db"]
    assert one.ask("GET", "/dpvs/DB")[0] == 404


def test_every_extent_is_given_out_once(pair: tuple[Client, Client]) -> None:
    pair[0].make_group("d1", "d2", size=10 * EXTENT)
    answers: list[tuple[int, str]] = []

    def create(number: int) -> None:
        wanted = {"name": f"db{number}", "dvg": "fast", "size": EXTENT}
        status, document = pair[number % 2].ask("POST", "/dlvs", wanted)
        answers.append((status, document.get("code", "")))

    at_once(*[partial(create, number) for number in range(12)])
    assert used(pair[0]) == {"d1": 10, "d2": 10}
    assert sorted(answers) == [(202, "")] * 5 + [(409, "exhausted")] * 7


def test_a_dpv_that_leaves_its_dvg_gets_no_leg_meanwhile(pair: tuple[Client, Client]) -> None:
    one, two = pair
    one.make_group("d1", "d2", "d3")
    for turn in range(6):
        name = f"db{turn}"
        wanted = {"name": name, "dvg": "fast", "size": EXTENT}
        at_once(
            partial(one.ask, "POST", "/dlvs", wanted),
            partial(two.ask, "POST", "/dvgs/fast/reduce", {"dpvs": ["d3"]}),
        )
        dpv = one.must("GET", "/dpvs/d3")
        assert (dpv["dvg"] == "fast") or dpv["used"] == 0
        one.must("POST", "/dvgs/fast/extend", {"dpvs": ["d3"]})
        one.ask("DELETE", f"/dlvs/{name}")


def test_of_equal_requests_at_once_one_is_done(pair: tuple[Client, Client]) -> None:
    pair[0].make_group("d1", "d2")
    answers: list[bytes] = []
    wanted = {"name": "db", "dvg": "fast", "size": EXTENT}

    def create(client: Client) -> None:
        answers.append(client.send("POST", "/dlvs", wanted, key="same").content)

    at_once(*[partial(create, client) for client in pair * 4])
    assert len(set(answers)) == 1
    assert pair[0].events().count(("creating", "dlv", "db")) == 1


def test_who_reads_events_from_a_number_on_misses_none(pair: tuple[Client, Client]) -> None:
    one, _ = pair
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        after = 0
        ending = False
        while True:
            page = one.must("GET", f"/events?after={after}")
            seen.extend(each["number"] for each in page["items"])
            if ending and not page["items"]:
                return
            after = page["next"]
            ending = done.is_set()

    def write(client: Client, letter: str) -> None:
        for number in range(15):
            client.make_dpvs(f"{letter}{number}", available=False)

    follower = threading.Thread(target=follow)
    follower.start()
    at_once(*[partial(write, client, letter) for client, letter in zip(pair * 2, "abcd", strict=True)])
    done.set()
    follower.join()
    assert seen == list(range(1, 61))


@SERVERS
def test_what_was_answered_is_there_after_the_server_was_killed(server: Server, url: str) -> None:
    with open_client(url) as client:
        client.make_group("d1", "d2")
        dlv = client.make_dlv(size=EXTENT)
        server.kill()
        status, problem = client.ask("GET", "/dlvs/db")
        assert (status, problem["code"]) == (503, "unavailable")
        assert client.send("GET", "/health").status_code == 503
        server.start()
        assert wait_for(lambda: client.ask("GET", "/dlvs/db")) == dlv


def wait_for(ask: Callable[[], tuple[int, object]]) -> object:
    until = time.monotonic() + 60
    while True:
        status, document = ask()
        if status == 200 or time.monotonic() > until:
            return document
        time.sleep(0.1)


@SERVERS
def test_a_server_that_is_killed_while_writing_loses_nothing_that_was_answered(server: Server, url: str) -> None:
    """Clients ask again with the same key until they are answered, as the API's users are to."""
    with open_client(url) as client:
        client.make_group("d1", "d2")
        stop = threading.Event()
        answered: list[str] = []

        def create() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                name = f"db{number}"
                wanted = {"name": name, "dvg": "fast", "size": EXTENT}
                while client.send("POST", "/dlvs", wanted, key=name).status_code != 202:
                    time.sleep(0.05)
                answered.append(name)

        writer = threading.Thread(target=create)
        writer.start()
        for _ in range(3):
            time.sleep(0.5)
            server.kill()
            server.start()
        stop.set()
        writer.join()
        there = [each["name"] for each in client.must("GET", "/dlvs?limit=1000")["items"]]
        assert sorted(there) == sorted(answered)
        assert sum(used(client).values()) == 4 * len(there)
        told = [subject for what, kind, subject in client.events() if (what, kind) == ("creating", "dlv")]
        assert told == answered


@pytest.mark.parametrize(
    "wrong", ["oracle://x", "sqlite://", "sqlite:///:memory:", "postgres://x", "map.db", "", "mariadb://a:b:c@:x/y"]
)
def test_urls_of_nothing_are_refused(wrong: str) -> None:
    def open_it() -> None:
        database = Database(wrong)
        try:
            database.open()
        finally:
            database.close()

    with pytest.raises((UsageError, UnavailableError)):
        open_it()
