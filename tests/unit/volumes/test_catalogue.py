"""The catalogue: what is written is there after a reopening; what failed was never there."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.clock import SystemClock
from drystone.base.errors import DamagedError, ExistsError, NotFoundError, UnsupportedError
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.driver import Snapshot, Volume
from drystone.volumes.pools import Pool
from drystone.volumes.queries import migrations, named

VOLUME = Volume("u1", "db", "vfs", 4096, "2026-01-02T03:04:05+01:00", "", {"Folder": "db-1"})
SNAPSHOT = Snapshot("s1", "monday", "u1", "2026-01-02T03:05:05+01:00", 4096, {"File": "s1.tar"})


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    opened = Catalogue(tmp_path / "catalogue.db", SystemClock())
    opened.open()
    yield opened
    opened.close()


def reopen(catalogue: Catalogue) -> Catalogue:
    catalogue.close()
    again = Catalogue(catalogue.path, SystemClock())
    again.open()
    return again


def test_a_volume_exists_once_its_creation_is_finished(catalogue: Catalogue) -> None:
    operation = catalogue.begin_create(VOLUME)
    assert catalogue.list_volumes() == []
    catalogue.finish_create(operation)
    again = reopen(catalogue)
    assert again.list_volumes() == [VOLUME]
    assert again.get_volume("u1") == VOLUME
    assert again.list_operations() == []
    again.close()


def test_the_journal_survives_and_tells_everything(catalogue: Catalogue) -> None:
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    catalogue.begin_create_snapshot(VOLUME, SNAPSHOT)
    again = reopen(catalogue)
    [operation] = again.list_operations()
    assert (operation.action, operation.volume, operation.snapshot) == ("snapshot-create", VOLUME, SNAPSHOT)
    assert again.list_snapshots() == []
    again.finish_create_snapshot(operation)
    assert again.list_snapshots("u1") == [SNAPSHOT]
    assert again.get_snapshot("s1") == SNAPSHOT
    again.close()


def test_a_name_is_taken_from_the_beginning_of_its_creation(catalogue: Catalogue) -> None:
    operation = catalogue.begin_create(VOLUME)
    with pytest.raises(ExistsError, match="'db'"):
        catalogue.begin_create(Volume("u2", "db", "vfs", 0, "x"))
    catalogue.drop(operation)
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    with pytest.raises(ExistsError):
        catalogue.begin_create(Volume("u2", "db", "vfs", 0, "x"))
    catalogue.begin_create_snapshot(VOLUME, SNAPSHOT)
    with pytest.raises(ExistsError, match="'monday'"):
        catalogue.begin_create_snapshot(VOLUME, Snapshot("s2", "monday", "u1", "x", 0))


def test_a_deleted_volume_takes_its_snapshots_along(catalogue: Catalogue) -> None:
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    catalogue.finish_create_snapshot(catalogue.begin_create_snapshot(VOLUME, SNAPSHOT))
    operation = catalogue.begin_delete(VOLUME)
    assert catalogue.list_volumes() == [VOLUME]
    catalogue.finish_delete(operation)
    assert (catalogue.list_volumes(), catalogue.list_snapshots(), catalogue.list_operations()) == ([], [], [])
    with pytest.raises(NotFoundError):
        catalogue.get_volume("u1")
    with pytest.raises(NotFoundError):
        catalogue.get_snapshot("s1")


def test_mounts_are_remembered(catalogue: Catalogue) -> None:
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    catalogue.finish_mount(catalogue.begin_mount(VOLUME), "/mnt/db")
    assert catalogue.get_volume("u1").mount_point == "/mnt/db"
    catalogue.set_umounted(VOLUME)
    assert catalogue.get_volume("u1").mount_point == ""


def test_what_was_mounted_before_there_were_holders_is_held_by_hand(tmp_path: Path) -> None:
    """A catalogue of version 1 is migrated: nobody but a person, or the next request of Docker's, unmounts it."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path, isolation_level=None) as old:
        old.executescript(f"{migrations()[0]}\nPRAGMA user_version = 1;")
        rows = [("u1", "db", "/mnt/db"), ("u2", "idle", "")]
        old.executemany("INSERT INTO volumes VALUES (?, ?, 'vfs', 0, 'x', ?, '{}')", rows)
    old.close()
    migrated = Catalogue(path, SystemClock())
    migrated.open()
    assert {each.name: migrated.list_holders(each.uuid) for each in migrated.list_volumes()} == {"db": [""], "idle": []}
    migrated.close()


def test_pools(catalogue: Catalogue) -> None:
    assert catalogue.get_pool("p") is None
    pool = Pool("p", "uuid", 128, 4096, 0, 1)
    catalogue.put_pool(pool)
    catalogue.put_pool(Pool("p", "uuid", 128, 4096, 7, 9))
    assert catalogue.get_pool("p") == Pool("p", "uuid", 128, 4096, 7, 9)


def test_a_failed_transaction_leaves_nothing(catalogue: Catalogue) -> None:
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    operation = catalogue.begin_create(Volume("u1", "other", "vfs", 0, "x"))
    with pytest.raises(Exception, match="UNIQUE"):
        catalogue.finish_create(operation)
    assert [each.name for each in catalogue.list_volumes()] == ["db"]
    assert [each.id for each in catalogue.list_operations()] == [operation.id]


def test_readers_do_not_wait_for_a_writer(catalogue: Catalogue) -> None:
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    with sqlite3.connect(catalogue.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM volumes")
        assert catalogue.list_volumes() == [VOLUME]
        other.execute("ROLLBACK")
    other.close()


def test_many_threads_write(catalogue: Catalogue) -> None:
    def make(number: int) -> None:
        for step in range(5):
            volume = Volume(f"u{number}-{step}", f"v{number}-{step}", "vfs", 0, "x")
            catalogue.finish_create(catalogue.begin_create(volume))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(catalogue.list_volumes()) == 40


def test_a_newer_catalogue_is_left_alone(catalogue: Catalogue) -> None:
    catalogue.close()
    with sqlite3.connect(catalogue.path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(UnsupportedError, match="version 99"):
        Catalogue(catalogue.path, SystemClock()).open()


def test_a_file_that_is_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"not a database at all" * 400)
    broken = Catalogue(tmp_path / "c", SystemClock())
    with pytest.raises(DamagedError, match="damaged"):
        broken.open()
    broken.close()


def test_durability_is_on(catalogue: Catalogue) -> None:
    connection = catalogue._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(migrations())


def test_every_statement_has_a_name_and_text() -> None:
    assert all(text.rstrip().endswith(";") for text in named().values())


def test_numbers_of_operations_are_not_given_out_again_by_a_migration(tmp_path: Path) -> None:
    """The trail names operations by them."""
    path = tmp_path / "catalogue.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for script in migrations()[:4]:
        connection.executescript(script)
    connection.execute("PRAGMA user_version = 4")
    row = "('create', 'u', 'n', '{}', '2026-01-02')"
    for _ in range(3):
        connection.execute(f"INSERT INTO journal (action, volume_uuid, volume_name, document, begun) VALUES {row}")
    connection.execute("DELETE FROM journal")
    connection.close()
    catalogue = Catalogue(path, SystemClock())
    catalogue.open()
    assert catalogue.begin_create(VOLUME).id == 4
    catalogue.close()
