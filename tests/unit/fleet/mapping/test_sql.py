"""The mapper's database: SQLite, and the one in memory that the simulation uses. PostgreSQL: tests/system/fleet."""

from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError, UnsupportedError, UsageError
from drystone.fleet.mapping.database import Database
from drystone.fleet.mapping.sql import SqlDatabase
from drystone.testing.fleet.database import CHECKS
from drystone.testing.fleet.world.database import MemoryDatabase


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.__name__)
def test_sqlite(check: Callable[[Database], None], tmp_path: Path) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path}/new folder/map.db")
    database.open()
    try:
        check(database)
    finally:
        database.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda each: each.__name__)
def test_memory(check: Callable[[Database], None]) -> None:
    check(MemoryDatabase(lambda: 100.0))


def test_what_was_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/map.db"
    database = SqlDatabase(url)
    database.open()
    fleet = database.load().fleet
    database.close()
    other = SqlDatabase(url)
    other.open()
    assert other.load().fleet == fleet
    other.close()


def test_the_schema_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path}/map.db"
    database = SqlDatabase(url)
    database.open()
    database.close()
    with sqlite3.connect(tmp_path / "map.db") as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(UnsupportedError, match="schema 99"):
        SqlDatabase(url).open()


def test_a_database_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path}/map.db"
    database = SqlDatabase(url)
    database.open()
    database.close()
    with sqlite3.connect(tmp_path / "map.db") as connection:
        connection.execute("UPDATE schema_version SET version = 1")
        connection.execute("DROP TABLE led_past")
    connection.close()
    again = SqlDatabase(url)
    again.open()
    assert again.load().led_past == set()
    again.close()
    with sqlite3.connect(tmp_path / "map.db") as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(2,)]
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(UnavailableError, match="not a database"):
        SqlDatabase(f"sqlite:///{tmp_path}/map.db").open()


@pytest.mark.parametrize("url", ["", "mysql://x/y", "map.db", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        SqlDatabase(url)
