from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, UnavailableError
from drystone.fleet.disk.index import Index

HoldUp = Callable[[], AbstractContextManager[Callable[[int], None]]]
INSERT = "INSERT INTO garbage VALUES (?, 1)"


def count(index: Index) -> int:
    with index.looking() as connection:
        return int(connection.execute("SELECT count(*) FROM garbage").fetchone()[0])


def test_steps_that_wait_share_a_commit(index: Index, commits: list[int], hold_up: HoldUp) -> None:
    with ThreadPoolExecutor(10) as threads:
        with hold_up() as wait_for:
            others = [
                threads.submit(index.write, lambda c, n=n: c.execute(INSERT, (f"{n}",)).rowcount) for n in range(10)
            ]
            wait_for(len(others))
        assert [each.result() for each in others] == [1] * 10
    assert len(commits) == 2
    assert count(index) == 10


def test_a_step_that_fails_is_undone_and_others_are_not(index: Index) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        connection.execute(INSERT, ("bad",))
        raise ValueError("no")

    with ThreadPoolExecutor(3) as threads:
        good = [threads.submit(index.write, lambda c, n=n: c.execute(INSERT, (f"{n}",))) for n in range(3)]
        bad = threads.submit(index.write, fails)
        with pytest.raises(ValueError, match="no"):
            bad.result()
        for each in good:
            each.result()
    assert count(index) == 3


def test_steps_that_have_no_room_say_so(index: Index) -> None:
    with index.looking() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        connection.execute("INSERT INTO garbage VALUES (zeroblob(100000), 1)")

    with pytest.raises(sqlite3.OperationalError) as caught:
        index.write(fill)
    assert caught.value.sqlite_errorname == "SQLITE_FULL"
    index.write(lambda each: each.execute(INSERT, ("a",)))
    assert count(index) == 1


def test_a_reader_sees_one_state(index: Index) -> None:
    with index.reading() as connection:
        assert connection.execute("SELECT count(*) FROM garbage").fetchone() == (0,)
        index.write(lambda each: each.execute(INSERT, ("a",)))
        assert connection.execute("SELECT count(*) FROM garbage").fetchone() == (0,)
    assert count(index) == 1


def test_what_was_written_is_there_after_the_next_start(index: Index, tmp_path: Path) -> None:
    index.write(lambda each: each.execute(INSERT, ("a",)))
    index.close()
    index.close()
    with pytest.raises(UnavailableError, match="closed"):
        index.write(lambda each: each.execute(INSERT, ("b",)))
    again = Index(tmp_path / "index.db")
    again.open()
    assert count(again) == 1
    again.close()


def test_every_commit_is_synced(index: Index) -> None:
    assert index._writer is not None
    assert index._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert index._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "i.db")
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(UnavailableError, match="format 7"):
        Index(tmp_path / "i.db").open()


@pytest.mark.parametrize(("is_there", "said"), [(False, "is gone"), (True, "is empty")])
def test_a_lost_one_is_not_made_anew(tmp_path: Path, *, is_there: bool, said: str) -> None:
    if is_there:
        (tmp_path / "i.db").touch()
    with pytest.raises(DamagedError, match=said):
        Index(tmp_path / "i.db").open()


def test_what_is_there_is_not_made_again(index: Index) -> None:
    index.write(lambda each: each.execute(INSERT, ("a",)))
    index.create()
    assert count(index) == 1


def test_no_index_at_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "i.db").write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        Index(tmp_path / "i.db").open()
