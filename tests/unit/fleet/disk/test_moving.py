from __future__ import annotations

import errno
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import DrystoneError, ExhaustedError, KernelError
from drystone.fleet.disk import places
from drystone.testing.fleet.disk_faults import FaultyFiles
from drystone.testing.fleet.disk_world import (
    FLEET,
    PLACEMENT,
    DiskWorld,
    UnsyncedFiles,
    check_whole,
    make_disk,
    quick_folder,
    read_state,
)


def notes(world: DiskWorld) -> int:
    connection = sqlite3.connect(world.disk.root / ".drystone/index.db")
    try:
        (count,) = connection.execute("SELECT (SELECT count(*) FROM moves) + (SELECT count(*) FROM garbage)").fetchone()
        return int(count)
    finally:
        connection.close()


def test_notes_are_taken_away_when_all_is_settled(world: DiskWorld) -> None:
    world.put("h/a", 5)
    world.put("h/a", 6)
    world.put("h/b/c", 6)
    world.remove("h/b/c")
    world.put("h/v", 1, "1")
    world.put("h/v", 2, "2")
    assert notes(world) > 0
    world.disk.close()
    assert notes(world) == 0


def test_a_move_that_waits_for_room_is_found_where_it_comes_from() -> None:
    with quick_folder() as folder:
        files = FaultyFiles(folder / "d", -1, errno.ENOSPC, for_good=True)
        world = DiskWorld(make_disk(folder / "d", files))
        world.put("h/a", 5, "1")
        world.put("h/b", 5)
        world.disk.close()
        world.disk.open(FLEET)
        body = world.body(b"second")
        change = world.put_change("h/a", "2", b"", body)
        intent = world.disk.prepare(change, body)
        files.arm(len(files.calls))
        world.disk.commit(intent)
        assert not (folder / "d/primary/h/a").read_bytes().startswith(b"second")
        for version, data in (("2", b"second"), ("1", world.state["h/a", "1"].data)):
            with world.disk.open_version(PLACEMENT, "h/a", version) as reader:
                assert bytes(reader.read_piece(0)) == data
        assert world.disk.path_of(PLACEMENT, "h/a").read_bytes() == b"second"
        files.arm(-1)
        world.state = read_state(world.disk)
        world.put("h/a", 7, "3")
        assert read_state(world.disk) == world.state
        check_whole(world.disk, world.state)
        world.disk.close()
        world.disk.open(FLEET)
        assert read_state(world.disk) == world.state
        check_whole(world.disk, world.state)
        world.disk.close()


class StuckFiles(UnsyncedFiles):
    """Files of which none is renamed while `number` is an errno."""

    number = 0

    def rename(self, source: str, target: str) -> None:
        if self.number:
            raise OSError(self.number, "stuck")
        super().rename(source, target)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, ExhaustedError), (errno.EACCES, KernelError)])
def test_no_change_of_a_key_passes_one_that_waits(number: int, kind: type[DrystoneError]) -> None:
    with quick_folder() as folder:
        files = StuckFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        files.number = errno.ENOSPC
        world.put("h/a", 5)
        waiting = files.names(places.TEMP)
        files.number = number
        body = world.body(b"second")
        change = world.put_change("h/a", "null", b"", body)
        with pytest.raises(kind):
            world.disk.apply(change, body)
        world.disk.release(PLACEMENT, change.info.seq)
        assert files.names(places.TEMP) == waiting
        assert read_state(world.disk) == world.state
        files.number = 0
        world.put("h/a", 6)
        assert read_state(world.disk) == world.state
        check_whole(world.disk, world.state)
        world.disk.close()


class HeldFiles(UnsyncedFiles):
    """Whoever asks whether a file of an object is there waits at a gate, once that is shut."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate, self.waits = threading.Event(), threading.Event()
        self.gate.set()

    def exists(self, place: str) -> bool:
        if place.startswith("primary/") and not self.gate.is_set():
            self.waits.set()
            assert self.gate.wait(120)
        return super().exists(place)


def test_an_abort_leaves_the_body_to_a_commit_that_is_under_way() -> None:
    with quick_folder() as folder:
        files = HeldFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        body = world.body(b"second")
        intent = world.disk.prepare(world.put_change("h/a", "null", b"", body), body)
        files.gate.clear()
        with ThreadPoolExecutor(2) as threads:
            commit = threads.submit(world.disk.commit, intent)
            assert files.waits.wait(120)
            abort = threads.submit(world.disk.abort, intent, dirty=True)
            with pytest.raises(TimeoutError):
                abort.result(0.2)
            files.gate.set()
            commit.result()
            abort.result()
        assert read_state(world.disk)["h/a", "null"].data == b"second"
        world.disk.close()


def test_a_body_that_the_index_has_outlives_a_commit_that_failed() -> None:
    with quick_folder() as folder:
        files = FaultyFiles(folder / "d", -1, errno.EACCES, for_good=True)
        world = DiskWorld(make_disk(folder / "d", files))
        world.put("h/a", 5)
        body = world.body(b"second")
        change = world.put_change("h/a", "null", b"", body)
        intent = world.disk.prepare(change, body)
        files.arm(len(files.calls))
        with pytest.raises(KernelError):
            world.disk.commit(intent)
        files.arm(-1)
        world.disk.abort(intent, dirty=True)
        assert [each.key for each in world.disk.dirty(PLACEMENT)] == ["h/a"]
        state = read_state(world.disk)
        assert state["h/a", "null"].data == b"second"
        world.disk.close()
        world.disk.open(FLEET)
        assert read_state(world.disk) == state
        check_whole(world.disk, state)
        world.disk.close()


def test_of_a_change_that_failed_half_way_all_files_are_found() -> None:
    """A put of a version between two others, whose marker is taken away by it, moves two files."""
    for at in range(12):
        with quick_folder() as folder:
            files = FaultyFiles(folder / "d", -1, errno.ENOSPC, for_good=True)
            world = DiskWorld(make_disk(folder / "d", files))
            world.put("h/a", 5, "1")
            world.put("h/a", 6, "2")
            first = world.state["h/a", "1"]
            world.mark("h/a", "3")
            body = world.body(b"instead of the marker")
            change = world.put_change("h/a", "3", b"", body)
            change = msgspec.structs.replace(change, made=first.made - 1)
            intent = world.disk.prepare(change, body)
            files.arm(len(files.calls) + at)
            try:
                world.disk.commit(intent)
            finally:
                files.arm(-1)
            state = read_state(world.disk)
            assert state["h/a", "3"].data == b"instead of the marker"
            assert [state["h/a", each].data for each in ("1", "2")] == [
                world.state["h/a", each].data for each in ("1", "2")
            ]
            world.state = dict(state)
            world.put("h/a", 7, "4")
            world.remove("h/a", "4")
            assert read_state(world.disk) == world.state
            check_whole(world.disk, world.state)
            world.disk.close()


def test_a_folder_that_is_taken_away_is_made_again(world: DiskWorld) -> None:
    for number in range(30):
        world.put("h/a/b/c", number)
        world.remove("h/a/b/c")
    world.put("h/a/b", 4)
    assert read_state(world.disk) == world.state
    check_whole(world.disk, world.state)
