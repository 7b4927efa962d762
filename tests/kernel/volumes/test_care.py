"""Care of pools and volumes on a real kernel: a daemon on loop devices that grow under it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from drystone.base.errors import ExhaustedError, RefusedError, UnavailableError

from .conftest import Host, run

pytestmark = pytest.mark.lab(memory="768M")

POOL = "convoy-pool"


def enlarge(device: str, file: Path, size: str) -> None:
    run("truncate", "-s", size, str(file))
    run("losetup", "-c", device)


def test_a_pool_that_fills_is_extended_in_use(host: Host) -> None:
    small = Host(host.folder, data="48M", metadata="2M")
    try:
        small.start()
        small.call("POST", "/volumes/create", {"Name": "db", "Size": 96 << 20})
        place = Path(small.call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
        (place / "file").write_bytes(os.urandom(46 << 20))
        run("sync")
        (pool,) = small.call("GET", "/pools")
        assert pool["state"] == "full", pool
        with pytest.raises(ExhaustedError, match="pool convoy-pool is full"):
            small.call("POST", "/snapshots/create", {"VolumeUUID": "db"})
        with pytest.raises(RefusedError, match="as large as its devices"):
            small.call("POST", "/pools/extend", {})
        enlarge(small.data, small.folder / "data.vol", "96M")
        enlarge(small.metadata, small.folder / "metadata.vol", "4M")
        (shown,) = small.call("POST", "/pools/extend", {"DryRun": True})
        assert shown["program"] is not None
        assert small.call("GET", "/pools")[0]["data_total"] == 48 << 20
        growth = small.call("POST", "/pools/extend", {})
        assert (growth["data_before"], growth["data_after"]) == (48 << 20, 96 << 20)
        assert (growth["metadata_before"], growth["metadata_after"]) == (2 << 20, 4 << 20)
        (pool,) = small.call("GET", "/pools")
        assert (pool["state"], pool["data_total"], pool["metadata_total"]) == ("ok", 96 << 20, 4 << 20)
        small.call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "monday"})
        (place / "more").write_bytes(os.urandom(8 << 20))
        run("sync")
        small.stop()
        small.take_down()
        small.start()
        assert small.call("GET", "/pools")[0]["data_total"] == 96 << 20
        assert (place / "more").stat().st_size == 8 << 20
        assert "pool convoy-pool is full" in small.log.read_text()
    finally:
        small.close()


def room(place: Path) -> int:
    """Bytes of a mounted file system."""
    found = os.statvfs(place)
    return found.f_blocks * found.f_frsize


def test_volumes_grow_with_their_file_systems(running: Host) -> None:
    call = running.call
    for name in ("db", "idle"):
        call("POST", "/volumes/create", {"Name": name, "Size": 32 << 20})
    place = Path(call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
    (place / "file").write_bytes(b"data" * 1000)
    handle = os.open(place / "file", os.O_RDWR)
    for name in ("db", "idle"):
        (shown,) = call("POST", "/volumes/resize", {"VolumeUUID": name, "Size": 96 << 20, "DryRun": True})
        assert shown["words"][-1].startswith("then: the ext4 on")
        call("POST", "/volumes/resize", {"VolumeUUID": name, "Size": "96m"})
    os.pwrite(handle, b"more", 0)
    os.fsync(handle)
    os.close(handle)
    assert room(place) > 80 << 20
    listed = {each["Name"]: each for each in call("GET", "/volumes/list").values()}
    assert {name: each["DriverInfo"]["Size"] for name, each in listed.items()} == dict.fromkeys(listed, str(96 << 20))
    assert listed["idle"]["MountPoint"] == ""
    assert "growing" not in Path("/proc/self/mounts").read_text()
    assert room(Path(call("POST", "/volumes/mount", {"VolumeUUID": "idle"}))) > 80 << 20
    with pytest.raises(RefusedError, match="none is made smaller"):
        call("POST", "/volumes/resize", {"VolumeUUID": "db", "Size": "32m"})

    # xfs grows only while it is mounted, and so is mounted for it.
    uuid = call("POST", "/volumes/create", {"Name": "large", "Size": 320 << 20})
    device = f"/dev/mapper/{POOL}-{uuid}"
    run("mkfs.xfs", "-q", "-f", "-K", device)
    call("POST", "/volumes/resize", {"VolumeUUID": "large", "Size": "400m"})
    assert run("blockdev", "--getsize64", device) == str(400 << 20)
    large = Path(call("POST", "/volumes/mount", {"VolumeUUID": "large"}))
    assert room(large) == (400 - 64) << 20, "all but its log"
    call("POST", "/volumes/resize", {"VolumeUUID": "large", "Size": "500m", "KeepFilesystem": True})
    assert room(large) == (400 - 64) << 20
    call("POST", "/volumes/resize", {"VolumeUUID": "large", "Size": "500m"})
    assert room(large) == (500 - 64) << 20

    # Trim: what was deleted goes back to the pool.
    (place / "large").write_bytes(os.urandom(16 << 20))
    run("sync")
    used = call("GET", "/pools")[0]["data_used"]
    (place / "large").unlink()
    run("sync")
    (trimmed,) = call("POST", "/volumes/trim", {"Names": ["db"]})
    assert trimmed["bytes"] >= 16 << 20
    assert call("GET", "/pools")[0]["data_used"] <= used - (15 << 20)
    found = call("POST", "/volumes/trim", {})
    assert {each["name"]: each["problem"] for each in found} == {"db": "", "idle": "", "large": ""}
    assert call("POST", "/fsck", {}) == []


def test_killed_while_a_volume_grows(running: Host) -> None:
    """The old size or the new one: of catalogue, device and, once it is started again, file system."""
    call = running.call
    uuid = call("POST", "/volumes/create", {"Name": "db", "Size": 32 << 20})
    place = Path(call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
    (place / "file").write_bytes(b"data" * 1000)
    run("sync")
    for size, delay in ((64, 0.01), (96, 0.06)):
        answered: list[bool] = []
        body: dict[str, object] = {"VolumeUUID": "db", "Size": size << 20}
        asking = threading.Thread(target=ask, args=(running, answered, body))
        asking.start()
        time.sleep(delay)
        running.stop(signal.SIGKILL)
        asking.join()
        running.start()
        told = int(call("GET", "/volumes/", {"VolumeUUID": "db"})["DriverInfo"]["Size"])
        assert int(run("blockdev", "--getsize64", f"/dev/mapper/{POOL}-{uuid}")) == told
        assert told - (12 << 20) < room(place) < told
        assert told == size << 20 or not answered
        assert call("POST", "/fsck", {}) == []
        call("POST", "/volumes/resize", body)
    assert (place / "file").read_bytes() == b"data" * 1000


def ask(host: Host, answered: list[bool], body: dict[str, object]) -> None:
    """Send a request that the daemon may not live to answer."""
    with contextlib.suppress(UnavailableError):
        host.call("POST", "/volumes/resize", body)
        answered.append(True)


def test_damaged_metadata_is_not_activated(running: Host) -> None:
    call = running.call
    call("POST", "/volumes/create", {"Name": "db", "Size": 32 << 20})
    place = Path(call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
    (place / "file").write_bytes(os.urandom(4 << 20))
    run("sync")
    call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "monday"})
    dest = f"vfs://{running.folder}/backups"
    told = call("GET", "/volumes/forecast", {"VolumeUUID": "db", "URL": dest})
    call("POST", "/backups/create", {"SnapshotUUID": "monday", "URL": dest})
    assert told["base"] == ""
    assert 4 << 20 <= told["read"] < 32 << 20
    (place / "file").write_bytes(os.urandom(1 << 20))
    run("sync")
    told = call("GET", "/volumes/forecast", {"VolumeUUID": "db", "URL": dest})
    assert told["base"] == "monday"
    assert 1 << 20 <= told["read"] < 12 << 20
    running.stop()
    running.take_down()
    metadata = Path(running.metadata)
    content = metadata.read_bytes()
    used = [each for each in range(1, 256) if any(content[each * 4096 : (each + 1) * 4096])]
    with metadata.open("r+b") as disk:
        for each in used:
            disk.seek(each * 4096 + 100)
            disk.write(b"damage")
        os.fsync(disk.fileno())
    message = running.fail_to_start()
    assert f"the metadata on {running.metadata} is damaged" in message
    assert "drystone thin repair" in message
    assert "convoy-pool" not in run("dmsetup", "ls")
    metadata.write_bytes(content)
    run("sync")
    running.start()
    assert (place / "file").stat().st_size == 1 << 20
    assert b"drystone_volumes_pool_state" in call("GET", "/metrics").encode()
