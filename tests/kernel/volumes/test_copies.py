"""Clones, volumes that go back, and snapshots of a group, on a real pool with real file systems."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, UnavailableError

from .conftest import Host, run

pytestmark = pytest.mark.lab(memory="768M")


def create(host: Host, name: str) -> Path:
    """A mounted volume."""
    host.call("POST", "/volumes/create", {"Name": name})
    return mount(host, name)


def mount(host: Host, name: str) -> Path:
    return Path(host.call("POST", "/volumes/mount", {"VolumeUUID": name}))


def snapshot(host: Host, volume: str, name: str) -> None:
    host.call("POST", "/snapshots/create", {"VolumeUUID": volume, "Name": name})


def clone(host: Host, name: str, new: str, *, renew: bool = False) -> Path:
    host.call("POST", "/volumes/clone", {"SnapshotUUID": name, "Name": new, "RenewUUID": renew})
    return mount(host, new)


def device(place: Path) -> str:
    (line,) = [each for each in Path("/proc/mounts").read_text().splitlines() if each.split()[1] == str(place)]
    return line.split()[0]


def write(path: Path, text: str) -> None:
    """Durable when it returns."""
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_number(place: Path, number: int) -> None:
    """In place, in one block; durable when it returns."""
    handle = os.open(place / "number", os.O_WRONLY)
    os.pwrite(handle, f"{number:08}".encode(), 0)
    os.fsync(handle)
    os.close(handle)


@pytest.mark.parametrize(("kind", "size"), [("ext4", "64M"), ("xfs", "320M")])
def test_a_clone_and_its_original_are_mounted_at_once(host: Host, kind: str, size: str) -> None:
    host.set_options(fs=kind, defaultvolumesize=size)
    host.start()
    place = create(host, "db")
    write(place / "file", "monday")
    snapshot(host, "db", "monday")  # while it is mounted: its log has something in it
    write(place / "file", "tuesday")
    same = clone(host, "monday", "same")
    own = clone(host, "monday", "own", renew=True)
    assert [(each / "file").read_text() for each in (place, same, own)] == ["tuesday", "monday", "monday"]
    write(same / "file", "other")
    assert (own / "file").read_text() == "monday"
    uuids = [run("blkid", "-p", "-s", "UUID", "-o", "value", device(each)) for each in (place, same, own)]
    assert uuids[0] == uuids[1] != uuids[2]
    host.call("POST", "/volumes/umount", {"VolumeUUID": "db"})
    host.call("DELETE", "/volumes/", {"VolumeUUID": "db"})  # with the snapshot: the clones need neither
    assert (own / "file").read_text() == "monday"
    assert host.call("POST", "/fsck", {}) == []


def test_a_volume_goes_back(running: Host) -> None:
    place = create(running, "db")
    write(place / "file", "monday")
    snapshot(running, "db", "monday")
    write(place / "file", "tuesday")
    snapshot(running, "db", "tuesday")
    back = {"VolumeUUID": "db", "SnapshotUUID": "monday"}
    with pytest.raises(BusyError, match="is mounted at"):
        running.call("POST", "/volumes/rollback", back)
    running.call("POST", "/volumes/umount", {"VolumeUUID": "db"})
    node = Path(f"/dev/mapper/convoy-pool-{running.call('GET', '/volumes/', back)['UUID']}")
    with node.open("rb"), pytest.raises(BusyError, match="is open"):
        running.call("POST", "/volumes/rollback", back)
    assert running.call("GET", "/volumes/rollback", back)["Changed"] > 0
    running.call("POST", "/volumes/rollback", back)
    assert (mount(running, "db") / "file").read_text() == "monday"
    running.call("POST", "/volumes/umount", {"VolumeUUID": "db"})
    running.call("POST", "/volumes/rollback", {**back, "SnapshotUUID": "tuesday"})
    running.stop(signal.SIGKILL)
    running.take_down()
    running.start()
    assert (mount(running, "db") / "file").read_text() == "tuesday"
    assert running.call("POST", "/fsck", {}) == []


def test_killed_while_it_goes_back(running: Host) -> None:
    place = create(running, "db")
    write(place / "file", "monday")
    snapshot(running, "db", "monday")
    write(place / "file", "now")
    running.call("POST", "/volumes/umount", {"VolumeUUID": "db"})
    for delay in (0.01, 0.03, 0.08):
        asking = threading.Thread(target=_ask_back, args=(running,))
        asking.start()
        time.sleep(delay)
        running.stop(signal.SIGKILL)
        asking.join()
        running.start()
        assert running.call("POST", "/fsck", {}) == []
        assert "SUSPENDED" not in run("dmsetup", "info")
        assert (mount(running, "db") / "file").read_text() in {"monday", "now"}
        running.call("POST", "/volumes/umount", {"VolumeUUID": "db"})


def _ask_back(host: Host) -> None:
    with contextlib.suppress(UnavailableError):
        host.call("POST", "/volumes/rollback", {"VolumeUUID": "db", "SnapshotUUID": "monday"})


def test_a_group_shows_one_moment(running: Host) -> None:
    """A writer writes each number to one volume and then to the other, durably: the first is never behind."""
    places = [create(running, name) for name in ("first", "second")]
    over = threading.Event()
    numbers = [0]

    def count() -> None:
        while not over.is_set():
            numbers[0] += 1
            for place in places:
                write_number(place, numbers[0])

    for place in places:
        write(place / "number", f"{0:08}")
    writing = threading.Thread(target=count)
    writing.start()
    try:
        for group in range(3):
            begun = numbers[0]
            running.call("POST", "/snapshots/group", {"Volumes": ["second", "first"], "Name": f"g{group}"})
            while numbers[0] < begun + 3:
                time.sleep(0.005)
    finally:
        over.set()
        writing.join()
    for group in range(3):
        first, second = (
            int((clone(running, f"g{group}-{name}", f"c{group}-{name}") / "number").read_text())
            for name in ("first", "second")
        )
        assert first - second in {0, 1}
    assert running.call("POST", "/fsck", {}) == []
