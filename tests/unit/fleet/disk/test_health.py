from __future__ import annotations

import errno
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drystone.base.errors import (
    DamagedError,
    DrystoneError,
    ExhaustedError,
    KernelError,
    UnavailableError,
)
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.identity import initialize
from drystone.testing.fleet.disk_faults import FaultyFiles
from drystone.testing.fleet.disk_world import FLEET, PLACEMENT, DiskWorld, make_disk


@pytest.mark.parametrize(
    ("number", "kind", "is_bad"),
    [
        (errno.ENOSPC, ExhaustedError, False),
        (errno.EDQUOT, ExhaustedError, False),
        (errno.EIO, UnavailableError, True),
        (errno.EROFS, UnavailableError, True),
        (errno.ENODEV, UnavailableError, True),
        (errno.EACCES, KernelError, False),
        (errno.EMFILE, KernelError, False),
    ],
)
def test_what_errors_of_the_system_say(number: int, kind: type[DrystoneError], is_bad: bool, tmp_path: Path) -> None:
    initialize(tmp_path, FLEET)
    trouble = Trouble("data_1", tmp_path)
    with pytest.raises(kind), trouble.told("write"):
        raise OSError(number, os.strerror(number))
    assert bool(trouble.reason) == is_bad
    if is_bad:
        with pytest.raises(UnavailableError, match="data_1 is bad"):
            trouble.check()


def test_what_errors_of_the_index_say(tmp_path: Path) -> None:
    initialize(tmp_path, FLEET)
    trouble = Trouble("data_1", tmp_path)
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("PRAGMA max_page_count = 3")
    connection.execute("CREATE TABLE t (a)")
    with pytest.raises(ExhaustedError), trouble.told("put"):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.execute("PRAGMA query_only = 1")
    assert trouble.reason == ""
    with pytest.raises(UnavailableError), trouble.told("put"):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    assert trouble.reason
    (tmp_path / "b.db").write_bytes(b"x" * 4096)
    connection = sqlite3.connect(tmp_path / "b.db")
    with pytest.raises(DamagedError), trouble.told("open"):
        connection.execute("SELECT * FROM t")
    connection.close()


def test_a_good_disk_says_so(world: DiskWorld) -> None:
    world.disk.probe()
    report = world.disk.report()
    assert (report.health, report.reason, report.name) == ("good", "", "data_1")
    assert report.capacity > report.free > 0
    assert report.disk_id == world.disk.identity.disk_id


def test_many_probe_at_once(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "d")  # not in memory: it takes its time
    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(disk.probe) for _ in range(80)]:
            each.result()
    assert disk.report().health == "good"
    disk.close()


def test_a_folder_whose_disk_was_taken_away_is_missing(world: DiskWorld) -> None:
    identity = world.disk.root / ".drystone/disk.json"
    text = identity.read_bytes()
    identity.unlink()
    assert world.disk.report().health == "missing"
    initialize(world.disk.root, FLEET)
    report = world.disk.report()
    assert report.health == "missing"
    assert "another disk" in report.reason
    identity.write_bytes(b"\0" * 100)
    assert world.disk.report().health == "bad"
    identity.write_bytes(text)
    assert world.disk.report().health == "good"
    world.disk.close()
    assert world.disk.report().health == "missing"


def test_a_bad_disk_takes_nothing_more_until_it_is_opened_again(tmp_path: Path) -> None:
    files = FaultyFiles(tmp_path / "d", -1, errno.EIO)
    world = DiskWorld(make_disk(tmp_path / "d", files))
    world.put("h/a", 5)
    files.arm(len(files.calls))
    with pytest.raises(UnavailableError, match="Input/output error"):
        world.disk.receive()
    report = world.disk.report()
    assert (report.health, report.reason) == ("bad", "receive: Input/output error")
    with pytest.raises(UnavailableError, match="receive: Input"):
        world.disk.receive()
    with pytest.raises(UnavailableError, match="receive: Input"):
        world.disk.take_seq(PLACEMENT, 3)
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        assert reader.pieces == 1
    world.disk.close()
    world.disk.open(FLEET)
    assert world.disk.report().health == "good"
    world.disk.close()


def test_a_disk_that_is_unmounted_under_way_is_missing_and_nothing_is_taken_for_done(tmp_path: Path) -> None:
    root, away = tmp_path / "data_1", tmp_path / "away"
    world = DiskWorld(make_disk(root))
    world.put("h/a", 5)
    early, late = world.body(b"early"), world.body(b"late")
    intent = world.disk.prepare(world.put_change("h/b", "null", b"", early), early)
    root.rename(away)
    root.mkdir()
    with pytest.raises(UnavailableError, match="missing"):
        world.disk.receive()
    with pytest.raises(UnavailableError, match="missing"):
        world.disk.apply(world.put_change("h/c", "null", b"", late), late)
    with pytest.raises(UnavailableError, match="missing"):
        world.disk.open_version(PLACEMENT, "h/a")
    assert world.disk.report().health == "missing"
    with pytest.raises(UnavailableError, match="missing"):
        world.disk.commit(intent)
    assert not list(root.iterdir())
    root.rmdir()
    away.rename(root)
    assert world.disk.report().health == "missing", "until it is opened again"
    with pytest.raises(UnavailableError, match="missing"):
        world.disk.receive()
    world.disk.open(FLEET)
    assert world.disk.report().health == "good"
    assert world.disk.find(PLACEMENT, "h/b") is None
    assert [each.key for each in world.disk.dirty(PLACEMENT)] == ["h/b"]
    assert world.disk.find(PLACEMENT, "h/c") is None
    world.disk.close()
