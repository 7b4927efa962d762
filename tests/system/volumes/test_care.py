"""Care of volumes by the command line, over a daemon with the driver vfs: what it can, and what it says it cannot."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from .conftest import Host


def test_a_disk_image_grows(running: Host) -> None:
    running.call("POST", "/volumes/create", {"Name": "vm", "Size": 1 << 20, "PrepareForVM": True})
    image = Path(running.call("GET", "/volumes/", {"VolumeUUID": "vm"})["DriverInfo"]["Path"]) / "disk.img"
    image.write_bytes(b"x" * (1 << 20))
    shown = running.drystone("volume", "resize", "vm", "3m", "--dry-run")
    assert (shown.code, shown.text) == (0, f"# truncate -s {3 << 20} {image}")
    assert image.stat().st_size == 1 << 20
    done = running.drystone("volume", "resize", "vm", "3m", "--json")
    assert done.document["DriverInfo"]["Size"] == str(3 << 20)
    assert image.read_bytes() == b"x" * (1 << 20) + bytes(2 << 20)
    smaller = running.drystone("volume", "resize", "vm", "1m")
    assert smaller.code == 13, smaller
    assert "none is made smaller" in smaller.err
    assert image.stat().st_size == 3 << 20


def test_what_folders_have_not_is_said(running: Host) -> None:
    running.call("POST", "/volumes/create", {"Name": "db"})
    running.call("POST", "/volumes/mount", {"VolumeUUID": "db"})
    for words, message in (
        (["resize", "db", "1g"], "is a folder, which has no size"),
        (["trim", "db"], "driver vfs cannot trim volumes"),
        (["pool", "extend"], "no driver here has a pool"),
    ):
        ran = running.drystone("volume", *words)
        assert ran.code != 0, words
        assert message in ran.err
    assert running.call("POST", "/volumes/trim", {}) == []
    assert running.drystone("volume", "pool", "list", "--json").text == "[]"


def test_metrics_are_printed_or_put_into_a_file_whole(running: Host) -> None:
    running.call("POST", "/volumes/create", {"Name": "db"})
    printed = running.drystone("volume", "metrics")
    assert 'drystone_volumes_count{driver="vfs"} 1.0' in printed.text.splitlines()
    file = running.folder / "volumes.prom"
    file.write_text("old")
    assert running.drystone("volume", "metrics", "--output", str(file)).text == ""
    assert file.read_text() == printed.out


def test_the_trail_tells_which_process_asked(running: Host) -> None:
    made = running.drystone("volume", "create", "db", "--json")
    running.call("POST", "/volumes/mount", {"VolumeUUID": "db"})
    running.call("POST", "/VolumeDriver.Unmount", {"Name": "db", "ID": "nobody"})
    running.stop(signal.SIGKILL)
    running.start()
    created, mounted = running.drystone("volume", "audit", "db", "--json").document
    assert (created["action"], created["outcome"], created["uuid"]) == ("create", "done", made.document["UUID"])
    assert "volume create db --json" in created["program"]
    assert (mounted["action"], mounted["pid"], mounted["uid"]) == ("mount", os.getpid(), os.getuid())
    assert running.drystone("volume", "audit", "--last", "0").code == 2


def test_logs_for_programs(host: Host) -> None:
    host.options += ["--log-format", "json"]
    host.start()
    host.call("POST", "/volumes/create", {"Name": "db"})
    lines = [json.loads(each) for each in host.log.read_text().splitlines()]
    assert "created volume db" in next(each for each in lines if each["logger"].endswith("service"))["message"]
