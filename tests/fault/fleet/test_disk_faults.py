"""Every call of the file system fails once, and once for good: nothing acknowledged is lost, nothing else appears."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, ExhaustedError, KernelError, UnavailableError
from drystone.fleet.disk import incoming
from drystone.testing.fleet.disk_faults import FaultyFiles
from drystone.testing.fleet.disk_world import (
    FLEET,
    PLACEMENT,
    DiskWorld,
    check_whole,
    make_disk,
    quick_folder,
    read_state,
)

Step = Callable[[DiskWorld], None]

STEPS: list[Step] = [
    lambda world: world.put("h/a/b", 20),
    lambda world: world.put("h/a/b", 30, leads=False),
    lambda world: world.put("h/a", 5),
    lambda world: world.put("h/v", 11, "1"),
    lambda world: world.put("h/v", 12, "2"),
    lambda world: world.mark("h/v", "3"),
    lambda world: world.remove("h/v", "3"),
    lambda world: world.remove("h/v", "2"),
    lambda world: world.give_up("h/a/b", dirty=True),
    lambda world: world.upload("h/up", (10, 20)),
    lambda world: world.remove("h/a/b"),
    lambda world: world.put("h/n/m", 7),
    lambda world: world.put("h/long", 30, pieces=3),  # written back while it comes
]


KINDS: dict[int, type[DrystoneError]] = {
    errno.ENOSPC: ExhaustedError,
    errno.EIO: UnavailableError,
    errno.EMFILE: KernelError,
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "WRITE_BACK", 10)


def run(root: Path, at: int, number: int, *, for_good: bool) -> list[str]:
    """All steps up to the fault, and on when the disk is full only; then what must be so is. The calls made."""
    files = FaultyFiles(root, -1, number, for_good=for_good)
    disk = make_disk(root, files)
    files.calls.clear()
    files.arm(at)
    world = DiskWorld(disk)
    allowed = [world.state]
    kind = KINDS[number]
    try:
        for step in STEPS:
            try:
                step(world)
            except kind:
                allowed = [world.state, world.next]
                if for_good or number != errno.ENOSPC:
                    break
                world.state = read_state(disk)
                assert world.state in allowed
            allowed = [world.state]
        calls = list(files.calls)
    finally:
        files.arm(-1)
        disk.close()
    disk.open(FLEET)
    try:
        state = read_state(disk)
        assert state in allowed, f"{state} is there, not {allowed}"
        for upload in disk.uploads(PLACEMENT):
            disk.drop_upload(PLACEMENT, upload.upload_id)
        check_whole(disk, state)
        assert world.dirty <= {each.key for each in disk.dirty(PLACEMENT)}
        DiskWorld(disk, dict(state)).put("h/last", 4)
        assert disk.report().health == "good"
    finally:
        disk.close()
    return calls


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("number", KINDS, ids=["full", "failing", "refused"])
def test_every_call_fails(number: int, for_good: bool) -> None:
    with quick_folder() as folder:
        calls = run(folder / "none", -1, number, for_good=False)
        assert {"create", "write", "sync", "rename", "link", "unlink", "sync_folder", "copy"} <= set(calls)
        assert {"begin_write_back", "await_write_back"} <= set(calls)
        for at in range(len(calls)):
            try:
                run(folder / f"{at}", at, number, for_good=for_good)
            except (AssertionError, DrystoneError) as error:
                raise AssertionError(f"fault at call {at}, {calls[at]}: {error}") from error
