"""Transactions over SQLite: how durable they are set to be, what is done anew, what is undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from drystone.base.errors import BusyError, MismatchError, NotFoundError, RefusedError, UnavailableError, UsageError
from drystone.cluster.model.dlv import Attachment, Dlv, Group, Leg, Snapshot
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.job import Job, JobStatus, check_step
from drystone.cluster.state import dropped, rows, schema
from drystone.cluster.state.answers import Answer, claim, fingerprint, forget_answers, keep_answer
from drystone.cluster.state.database import Database, LostRaceError, Work
from drystone.cluster.state.leases import Lease, count_turn
from drystone.cluster.state.pages import find_events


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/new/cluster.db")
    opened.open()
    yield opened
    opened.close()


def make_dlv() -> Dlv:
    return Dlv(
        id="id", name="db", dvg="fast", size=4096, initial_size=4096, mirrors=1, stripes=1, chunk=128, block=128,
        groups=(Group(number=0, role="metadata", stripes=1, extents=2),),
        legs=(Leg(id="leg", group=0, stripe=0, place=0, dpv="d1", extents=2),),
        snapshots=(Snapshot(id="snap", name="monday", thin_id=1, size=4096),),
        messages=("create_snap 1 0", "delete 9"), wanted="h1",
    )  # fmt: skip


def add_all(work: Work) -> Dlv:
    """A dvg, a dpv, an ihost and a dlv."""
    rows.add_dvg(work.connection, "fast")
    rows.add_dpv(
        work.connection, Dpv(name="d1", address="a:1", portal="a:2", extents=9, dvg="fast", status="available")
    )
    work.connection.execute(
        schema.ihosts.insert().values(name="h1", address="a:1", initiator="iqn.x", status="available", reason="")
    )
    dlv = make_dlv()
    rows.add_dlv(work.connection, dlv)
    return dlv


def test_a_commit_is_on_the_disk_and_references_are_kept(database: Database) -> None:
    def settings(work: Work) -> dict[str, object]:
        names = ("synchronous", "journal_mode", "foreign_keys")
        return {name: work.connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}

    assert database.change(settings) == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


def test_a_dlv_comes_back_as_it_went(database: Database) -> None:
    dlv = database.change(add_all)
    assert database.read(lambda connection: rows.load_dlv(connection, "db")) == dlv
    attachment = Attachment(ihost="h1", epoch=2)
    legs = (replace(dlv.legs[0], in_sync=False, copying=True, status="ready"),)
    changed = replace(dlv, epoch=2, clean=False, attachment=attachment, legs=legs, snapshots=(), wanted="")
    saved = database.change(lambda work: rows.save_dlv(work.connection, dlv, changed))
    assert saved == replace(changed, version=2)
    assert database.read(lambda connection: rows.find_by_id(connection, "id")) == saved


def test_a_leg_may_take_the_place_of_another(database: Database) -> None:
    dlv = database.change(add_all)
    after = replace(dlv, legs=(replace(dlv.legs[0], id="other"),))
    database.change(lambda work: rows.save_dlv(work.connection, dlv, after))
    secrets = database.read(lambda connection: rows.find_secrets(connection, "id"))
    assert list(secrets) == ["other"]


def test_a_secret_stays_with_its_leg(database: Database) -> None:
    dlv = database.change(add_all)
    before = database.read(lambda connection: rows.find_secrets(connection, "id"))
    after = replace(dlv, legs=(replace(dlv.legs[0], status="ready"),))
    database.change(lambda work: rows.save_dlv(work.connection, dlv, after))
    assert database.read(lambda connection: rows.find_secrets(connection, "id")) == before
    assert len(before["leg"]) == 32


def test_of_two_changes_of_one_version_the_second_is_made_anew(database: Database) -> None:
    database.change(add_all)
    turns: list[int] = []

    def grow(work: Work) -> Dlv:
        dlv = rows.load_dlv(work.connection, "db")
        turns.append(dlv.version)
        if len(turns) == 1:
            # As another server's change that is committed between the look and the write.
            work.connection.execute(schema.dlvs.update().values(version=7))
        return rows.save_dlv(work.connection, dlv, replace(dlv, size=8192))

    assert database.change(grow).size == 8192
    assert turns == [1, 1], "the first try was undone whole"


@pytest.mark.parametrize("column", ["version", "epoch"])
def test_a_change_of_an_old_version_or_epoch_is_none(database: Database, column: str) -> None:
    dlv = database.change(add_all)
    database.change(lambda work: work.connection.execute(schema.dlvs.update().values({column: 5})))
    tried = 0

    def change(work: Work) -> None:
        nonlocal tried
        tried += 1
        rows.save_dlv(work.connection, dlv, replace(dlv, size=8192))

    with pytest.raises(BusyError):
        database.change(change)
    assert tried > 1
    with pytest.raises(BusyError):
        database.change(lambda work: rows.remove_dlv(work.connection, dlv))
    assert database.read(lambda connection: rows.load_dlv(connection, "db")).legs == dlv.legs


def test_what_fails_leaves_nothing_neither_events(database: Database) -> None:
    def fail(work: Work) -> None:
        add_all(work)
        work.tell("made", "dlv", "db")
        raise NotFoundError("in the middle")

    with pytest.raises(NotFoundError):
        database.change(fail)
    assert database.read(lambda connection: find_events(connection, after=0, limit=10)) == []
    with pytest.raises(NotFoundError):
        database.read(lambda connection: rows.load_dvg(connection, "fast"))


def test_events_are_numbered_without_gaps(database: Database) -> None:
    def two(work: Work) -> None:
        work.tell("first", "dlv", "db")
        work.tell("second", "dlv", "db", "x" * 5000)

    def undone(work: Work) -> None:
        two(work)
        raise LostRaceError

    database.change(two, caller="alice", request="r1")
    with pytest.raises(BusyError):
        database.change(undone)
    database.change(two)
    found = database.read(lambda connection: find_events(connection, after=0, limit=10))
    assert [(each["number"], each["what"], each["caller"]) for each in found] == [
        (1, "first", "alice"), (2, "second", "alice"), (3, "first", ""), (4, "second", ""),
    ]  # fmt: skip
    assert len(found[1]["text"]) == 1000


def test_what_others_hang_on_stays(database: Database) -> None:
    database.change(add_all)
    with pytest.raises(BusyError):
        database.change(lambda work: work.connection.execute(schema.dpvs.delete()))
    with pytest.raises(BusyError):
        database.change(lambda work: rows.remove_ihost(work.connection, "h1"))


def test_a_key_has_one_request_and_one_answer(database: Database) -> None:
    def ask(work: Work, request: str, *, end: bool = True) -> Answer | None:
        found = claim(work, "k", request)
        if found is None and end:
            keep_answer(work, "k", Answer(202, "{}"))
        return found

    one = fingerprint("POST", "/v1/dlvs", b"{}")
    assert one != fingerprint("POST", "/v1/dlvs{", b"}")
    assert database.change(lambda work: ask(work, one), caller="alice") is None
    assert database.change(lambda work: ask(work, one), caller="alice") == Answer(202, "{}")
    assert database.change(lambda work: ask(work, one), caller="bob") is None, "every caller has keys of its own"
    with pytest.raises(MismatchError, match="another request"):
        database.change(lambda work: ask(work, "other"), caller="alice")


def test_a_file_that_another_one_has_locked_is_waited_for_and_then_busy(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drystone.cluster.state.database._BUSY_SECONDS", 0.01)
    other = Database(f"sqlite:///{tmp_path}/new/cluster.db")
    other.open()
    blocker = sqlite3.connect(tmp_path / "new" / "cluster.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError):
        other.change(lambda work: work.tell("a", "b", "c"))
    assert other.read(lambda connection: find_events(connection, after=0, limit=1)) == [], "reads go on"
    blocker.close()
    other.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(UnavailableError, match="not a database"):
        Database(f"sqlite:///{tmp_path}/x.db").open()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgres://x", "map.db", ""])
def test_urls_of_nothing_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Database(url)


def test_jobs_go_forward_only() -> None:
    job = Job(id="j", kind="extend", dlv="db", group=2)
    check_step(job, "processing")
    backwards: tuple[JobStatus, ...] = ("finished", "finishing", "canceled", "creating")
    for status in backwards:
        with pytest.raises(RefusedError, match="cannot become"):
            check_step(job, status)


def test_a_new_file_is_its_owners_alone(database: Database, tmp_path: Path) -> None:
    """The secrets of legs are in it, and in the log beside it."""
    database.change(add_all)
    modes = {each.name: each.stat().st_mode & 0o777 for each in (tmp_path / "new").iterdir()}
    assert modes == {"cluster.db": 0o600, "cluster.db-wal": 0o600, "cluster.db-shm": 0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("place", ["file/cluster.db", "folder"])
def test_a_place_that_cannot_have_a_database_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnavailableError):
        Database(f"sqlite:///{tmp_path}/{place}").open()


def test_keys_are_forgotten_when_others_are_a_week_younger(database: Database) -> None:
    def ask(work: Work, key: str, at: str) -> None:
        work.at = at
        claim(work, key, "request")
        keep_answer(work, key, Answer(202, "{}"))

    def known(work: Work) -> list[str]:
        keys = ("old", "edge", "new")
        return [key for key in keys if work.connection.execute(
            schema.answers.select().where(schema.answers.c.key == key)).one_or_none()]  # fmt: skip

    assert database.change(forget_answers) == 0
    database.change(lambda work: ask(work, "old", "2026-01-01T00:00:00.000000+00:00"))
    database.change(lambda work: ask(work, "edge", "2026-01-01T00:00:00.000001+00:00"))
    assert database.change(forget_answers) == 0, "nobody asked since"
    database.change(lambda work: ask(work, "new", "2026-01-08T00:00:00.000001+00:00"))
    assert database.change(forget_answers) == 1
    assert database.change(known) == ["edge", "new"]


def test_a_lease_is_its_holders_until_it_stands_still(database: Database) -> None:
    def turn(holder: str, stale: Lease | None = None) -> Lease:
        return database.change(lambda work: count_turn(work, "work", holder, stale))

    assert turn("one") == Lease("one", 1)
    assert turn("two") == Lease("one", 1)
    assert turn("one") == Lease("one", 2)
    assert turn("two", Lease("one", 1)) == Lease("one", 2), "it went on"
    assert turn("two", Lease("one", 2)) == Lease("two", 3)
    assert turn("one") == Lease("two", 3)


def test_what_a_dlv_gave_up_takes_space_until_its_dpv_confirms(database: Database) -> None:
    dlv = database.change(add_all)

    def used() -> int:
        return database.read(lambda connection: rows.load_dpv(connection, "d1")).used

    database.change(lambda work: dropped.drop(work.connection, replace(dlv, epoch=5), dlv.legs[0]))
    assert used() == 2, "no agent was told of that leg"
    gone = Leg(id="gone", group=0, stripe=0, place=0, dpv="d1", extents=3, status="creating")
    database.change(lambda work: dropped.drop(work.connection, replace(dlv, epoch=5), gone))
    assert used() == 5
    database.change(lambda work: dropped.forget(work.connection, "id", ["d1"], 4))
    assert used() == 5
    database.change(lambda work: dropped.keep_until(work.connection, "id", 7))
    assert [each.epoch for each in database.read(dropped.find)] == [7]
    database.change(lambda work: dropped.forget(work.connection, "id", ["d1"], 7))
    assert used() == 2
