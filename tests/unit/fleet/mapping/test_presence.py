"""Mappers over one SQLite file: one that hangs within a change is ended, nobody else is."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.fleet.mapping.sql import SqlDatabase

_SECONDS = 120
_HANGS = """
import os, signal, sys
from drystone.fleet.mapping.sql import SqlDatabase

class Stops(list):
    def __iter__(self):
        os.kill(os.getpid(), signal.SIGSTOP)
        return super().__iter__()

database = SqlDatabase(sys.argv[1])
database.open()
term = database.take_lease("hangs", "http://hangs", 0.0).term
database.commit(term, database.load().version, Stops(), 0.0)
"""
_ITSELF = """
import sqlite3, sys
from pathlib import Path
from drystone.fleet.mapping.presence import Presence

presence = Presence(Path(sys.argv[1].removeprefix("sqlite:///")))
presence.begin()
connection = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"), isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
assert not presence.end_hung()
"""
_STRANGER = """
import os, signal, sqlite3, sys
from drystone.fleet.mapping.sql import SqlDatabase

if sys.argv[2:]:
    database = SqlDatabase(sys.argv[1])
    database.open()
    database.close()
connection = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"), isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
os.kill(os.getpid(), signal.SIGSTOP)
"""


@contextlib.contextmanager
def stopped(program: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs a program until that stops itself."""
    process = subprocess.Popen([sys.executable, "-c", program, *words])
    try:
        state = Path(f"/proc/{process.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            assert process.poll() is None, "it ended"
        yield process
    finally:
        process.kill()
        process.wait(_SECONDS)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a database that is there."""
    url = f"sqlite:///{tmp_path}/map.db"
    database = SqlDatabase(url)
    database.open()
    database.close()
    return url


def test_a_mapper_that_hangs_within_a_change_is_ended_and_its_change_undone(url: str) -> None:
    database = SqlDatabase(url, busy_seconds=0.1)
    database.open()
    version = database.load().version
    with stopped(_HANGS, url) as hung:
        with pytest.raises(UnavailableError, match="locked"):
            database.take_lease("next", "http://next", 60)
        assert hung.wait(_SECONDS) == -signal.SIGKILL
        assert database.take_lease("next", "http://next", 60).holder == "next"
    assert database.load().version == version
    database.close()


def test_a_database_is_opened_though_a_mapper_hung(url: str) -> None:
    database = SqlDatabase(url, busy_seconds=0.1)
    with stopped(_HANGS, url):
        with pytest.raises(UnavailableError, match="locked"):
            database.open()
        database.open()
    database.close()


def test_a_mapper_that_is_in_a_change_itself_does_not_end_itself(url: str) -> None:
    assert subprocess.run([sys.executable, "-c", _ITSELF, url], timeout=_SECONDS, check=False).returncode == 0


@pytest.mark.parametrize("before", [(), ("was a mapper",)])
def test_who_is_no_mapper_or_none_any_more_is_let_alone(url: str, before: tuple[str, ...]) -> None:
    database = SqlDatabase(url, busy_seconds=0.1)
    database.open()
    with stopped(_STRANGER, url, *before) as stranger:
        for _ in range(2):
            with pytest.raises(UnavailableError, match="locked"):
                database.take_lease("next", "http://next", 60)
        assert stranger.poll() is None
    database.close()
