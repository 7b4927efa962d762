"""What was there is there after a restart, a kill, and a power cut; volumes that were mounted are mounted again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, UnavailableError

from .conftest import Host, run

pytestmark = pytest.mark.lab(memory="768M")


def thin_ids(host: Host) -> set[int]:
    """The thin ids in the pool's metadata, as another program reads them. The pool must not run."""
    dump = run("thin_dump", host.metadata)
    return {int(line.split('dev_id="')[1].split('"')[0]) for line in dump.splitlines() if "<device" in line}


def test_mounted_volumes_survive(running: Host) -> None:
    running.convoy("create", "idle")
    place = Path(running.convoy("create", "db").text and running.convoy("mount", "db").text)
    other = Path(running.convoy("create", "at").text and running.convoy("mount", "at", "--mountpoint", "/mnt/at").text)
    (place / "file").write_bytes(b"data")
    (other / "file").write_bytes(b"more")
    running.convoy("snapshot", "create", "db", "--name", "monday")
    run("sync")
    before = running.convoy("list").document
    for number in (signal.SIGTERM, signal.SIGKILL):
        assert running.stop(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        # The daemon is gone, the volumes are not.
        assert (place / "file").read_bytes() == b"data"
        running.start()
        assert running.convoy("list").document == before
    running.stop(signal.SIGKILL)
    running.take_down()
    assert not (place / "file").exists()
    running.start()
    assert running.convoy("list").document == before
    assert (place / "file").read_bytes() == b"data"
    assert (other / "file").read_bytes() == b"more"
    running.convoy("umount", "db")
    running.stop()
    running.start()
    assert running.convoy("inspect", "db").document["MountPoint"] == ""


REQUESTS: dict[str, tuple[str, str, dict[str, object]]] = {
    "create": ("POST", "/volumes/create", {"Name": "new"}),
    "snapshot": ("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "new"}),
    "delete": ("DELETE", "/volumes/", {"VolumeUUID": "other"}),
    "backup": ("POST", "/backups/create", {"SnapshotUUID": "first"}),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_killed_at_any_moment(running: Host, what: str) -> None:
    call = running.call
    for name in ("db", "other"):
        call("POST", "/volumes/create", {"Name": name})
    call("POST", "/volumes/mount", {"VolumeUUID": "db"})
    call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "first"})
    method, route, body = REQUESTS[what]
    for delay in (0.01, 0.06, 0.15, 0.4):
        answered: list[bool] = []
        asking = threading.Thread(target=ask, args=(running, answered, method, route, body))
        asking.start()
        time.sleep(delay)
        running.stop(signal.SIGKILL)
        asking.join()
        running.start()
        volumes, snapshots = look(running)
        devices = {f"convoy-pool-{uuid}" for uuid in volumes.values()} | {"convoy-pool"}
        assert {line.split()[0] for line in run("dmsetup", "ls").splitlines()} == devices
        assert "SUSPENDED" not in run("dmsetup", "info")
        assert {"db"} <= set(volumes) <= {"db", "other", "new"}
        assert {"first"} <= snapshots <= {"first", "new"}
        if answered:
            assert ("new" in volumes, "new" in snapshots) == (what == "create", what == "snapshot")
            assert ("other" in volumes) == (what != "delete")
        if "new" in volumes:
            call("DELETE", "/volumes/", {"VolumeUUID": "new"})
        if "other" not in volumes:
            call("POST", "/volumes/create", {"Name": "other"})
        if "new" in snapshots:
            call("DELETE", "/snapshots/", {"SnapshotUUID": "new"})
    listed = call("GET", "/volumes/list").values()
    kept = {int(each["DriverInfo"]["DevID"]) for each in listed}
    kept |= {int(each["DriverInfo"]["DevID"]) for volume in listed for each in volume["Snapshots"].values()}
    running.stop()
    running.take_down()
    assert thin_ids(running) == kept


def ask(host: Host, answered: list[bool], method: str, route: str, body: dict[str, object]) -> None:
    """Send a request that the daemon may not live to answer."""
    with contextlib.suppress(UnavailableError):
        host.call(method, route, {"URL": f"vfs://{host.folder}/backups", **body})
        answered.append(True)


def look(host: Host) -> tuple[dict[str, str], set[str]]:
    """UUIDs of volumes by name, and names of snapshots."""
    listed = host.call("GET", "/volumes/list").values()
    snapshots = {each["Name"] for volume in listed for each in volume["Snapshots"].values()}
    return {each["Name"]: each["UUID"] for each in listed}, snapshots


def test_many_at_once(running: Host) -> None:
    """Eight threads make, snapshot and delete volumes while a backup runs; lists do not wait for any of them."""
    call = running.call
    call("POST", "/volumes/create", {"Name": "db", "Size": 64 << 20})
    place = Path(call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
    (place / "file").write_bytes(os.urandom(24 << 20))
    call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "first"})
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            if number == 0:
                call("POST", "/backups/create", {"SnapshotUUID": "first", "URL": f"vfs://{running.folder}/backups"})
                return
            for step in range(2):
                name = f"v{number}-{step}"
                call("POST", "/volumes/create", {"Name": name, "Size": 8 << 20})
                call("POST", "/snapshots/create", {"VolumeUUID": name})
                call("DELETE", "/volumes/", {"VolumeUUID": name})
        except DrystoneError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    waits = []
    while any(each.is_alive() for each in threads):
        begun = time.monotonic()
        call("GET", "/volumes/list")
        waits.append(time.monotonic() - begun)
        time.sleep(0.05)
    assert failures == []
    assert sorted(waits)[len(waits) // 2] < 1.0
    assert look(running) == ({"db": look(running)[0]["db"]}, {"first"})
