"""A change that is prepared: its body and its intent become durable at the same time, or neither stays."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import time
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, ExhaustedError, KernelError
from drystone.fleet.disk import places
from drystone.testing.fleet.disk_world import (
    FLEET,
    PLACEMENT,
    DiskWorld,
    UnsyncedFiles,
    make_disk,
    quick_folder,
    read_state,
)


def intents(root: Path) -> int:
    with contextlib.closing(sqlite3.connect(root / places.INDEX)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM intents").fetchone()
        return int(count)


class SlowFiles(UnsyncedFiles):
    """Files whose content is durable, when that is asked for, only after the index has an intent."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.is_slow = False

    def sync(self, handle: int) -> None:
        deadline = time.monotonic() + 10
        while self.is_slow and not intents(self.root):
            assert time.monotonic() < deadline, "the intent waits for the body"
            time.sleep(0.001)
        super().sync(handle)


def test_body_and_intent_become_durable_at_the_same_time() -> None:
    with quick_folder() as folder:
        files = SlowFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        files.is_slow = True
        world.put("h/a", 5)
        assert read_state(world.disk) == world.state
        world.disk.close()


class RefusingFiles(UnsyncedFiles):
    """Files of which no content becomes durable while `number` is an errno."""

    number = 0

    def sync(self, handle: int) -> None:
        if self.number:
            raise OSError(self.number, "refused")
        super().sync(handle)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, ExhaustedError), (errno.EMFILE, KernelError)])
def test_no_intent_is_left_of_a_body_that_is_not_durable(number: int, kind: type[DrystoneError]) -> None:
    with quick_folder() as folder:
        files = RefusingFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        world.put("h/a", 5)
        body = world.body(b"second")
        change = world.put_change("h/a", "null", b"", body)
        files.number = number
        with pytest.raises(kind):
            world.disk.prepare(change, body)
        files.number = 0
        body.abandon()
        world.disk.release(PLACEMENT, change.info.seq)
        assert intents(folder / "d") == 0
        assert files.names(places.TEMP) == []
        assert read_state(world.disk) == world.state
        world.disk.close()
        world.disk.open(FLEET)
        assert world.disk.dirty(PLACEMENT) == ()
        world.disk.close()


def test_a_disk_that_fails_meanwhile_takes_the_intent_back_when_it_is_opened_again() -> None:
    with quick_folder() as folder:
        files = RefusingFiles(folder / "d")
        world = DiskWorld(make_disk(folder / "d", files))
        body = world.body(b"first")
        change = world.put_change("h/a", "null", b"", body)
        files.number = errno.EIO
        with pytest.raises(DrystoneError, match="is bad"):
            world.disk.prepare(change, body)
        files.number = 0
        body.abandon()
        world.disk.close()
        world.disk.open(FLEET)
        assert intents(folder / "d") == 0
        assert [each.key for each in world.disk.dirty(PLACEMENT)] == ["h/a"]
        assert read_state(world.disk) == {}
        world.disk.close()
