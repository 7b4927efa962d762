"""The trail: who asked for what, with the transaction that begins it, and what became of it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError
from drystone.testing.volume_host import PatientClock
from drystone.volumes import catalogue as module
from drystone.volumes.audit import DAEMON, Actor, acting
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.driver import Snapshot, Volume

VOLUME = Volume("u1", "db", "vfs", 4096, "2026-01-02T03:04:05+01:00")
SNAPSHOT = Snapshot("s1", "monday", "u1", "2026-01-02T03:05:05+01:00", 4096)
SOMEBODY = Actor(4711, 1000, "drystone volume create db")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    opened = Catalogue(tmp_path / "catalogue.db", PatientClock())
    opened.open()
    yield opened
    opened.close()


def trail(catalogue: Catalogue, subject: str = "") -> list[tuple[str, str, str]]:
    return [(each.action, each.subject, each.outcome) for each in catalogue.list_audit(subject)]


def test_an_entry_is_as_old_as_its_operation_and_ends_with_it(catalogue: Catalogue) -> None:
    operation = catalogue.begin_create(VOLUME)
    assert trail(catalogue) == [("create", "db", "begun")]
    catalogue.finish_create(operation)
    assert trail(catalogue) == [("create", "db", "done")]
    catalogue.drop(catalogue.begin_create_snapshot(VOLUME, SNAPSHOT))
    catalogue.finish_mount(catalogue.begin_mount(VOLUME), "/mnt")
    catalogue.set_umounted(VOLUME)
    catalogue.finish_delete(catalogue.begin_delete(VOLUME))
    assert trail(catalogue) == [
        ("create", "db", "done"),
        ("snapshot-create", "monday", "undone"),
        ("mount", "db", "done"),
        ("umount", "db", "done"),
        ("delete", "db", "done"),
    ]
    assert trail(catalogue, "monday") == trail(catalogue, "s1") == [("snapshot-create", "monday", "undone")]
    assert len(catalogue.list_audit("", most=2)) == 2
    assert catalogue.list_audit("", most=1)[0].action == "delete"


def test_whose_work_a_thread_does(catalogue: Catalogue) -> None:
    def work() -> None:
        acting.set(SOMEBODY)
        thread = threading.Thread(target=contextvars.copy_context().run, args=(catalogue.begin_create, VOLUME))
        thread.start()
        thread.join()

    contextvars.copy_context().run(work)
    catalogue.begin_delete(VOLUME)
    first, second = catalogue.list_audit()
    assert (first.pid, first.uid, first.program) == (SOMEBODY.pid, SOMEBODY.uid, SOMEBODY.program)
    assert (second.pid, second.program) == (DAEMON.pid, "the daemon")


def test_what_fails_around_something_else_is_undone(catalogue: Catalogue) -> None:
    with catalogue.noting("pool-extend", "pool"):
        assert trail(catalogue) == [("pool-extend", "pool", "begun")]
    with pytest.raises(DrystoneError), catalogue.noting("pool-extend", "pool"):
        raise DrystoneError("no")
    assert trail(catalogue) == [("pool-extend", "pool", "done"), ("pool-extend", "pool", "undone")]


def test_a_change_that_is_not_there_has_no_entry(catalogue: Catalogue) -> None:
    catalogue.finish_create(catalogue.begin_create(VOLUME))
    with pytest.raises(Exception, match="already"):
        catalogue.begin_create(VOLUME)
    assert trail(catalogue) == [("create", "db", "done")]


def test_it_survives_and_has_an_end(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AUDIT_ENTRIES", 3)
    for number in range(5):
        catalogue.drop(catalogue.begin_create(Volume(f"u{number}", f"v{number}", "vfs", 0, "x")))
    catalogue.close()
    again = Catalogue(catalogue.path, PatientClock())
    again.open()
    assert [each.subject for each in again.list_audit()] == ["v2", "v3", "v4"]
    again.close()
