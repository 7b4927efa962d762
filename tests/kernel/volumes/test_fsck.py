"""`fsck` of a daemon whose kernel was meddled with: what is found, mended, and left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Host, run

pytestmark = pytest.mark.lab(memory="768M")

POOL = "convoy-pool"


def fsck(host: Host, **words: bool) -> dict[str, dict[str, Any]]:
    """What is found, by its subject."""
    return {each["subject"]: each for each in host.call("POST", "/fsck", words)}


def kinds(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {subject: each["kind"] for subject, each in found.items()}


def test_what_was_meddled_with_is_found_and_mended(running: Host) -> None:
    uuids = {name: running.call("POST", "/volumes/create", {"Name": name}) for name in ("db", "web", "idle")}
    place = Path(running.call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
    (place / "file").write_bytes(b"data")
    running.call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "monday"})
    assert fsck(running) == {}

    node = Path(f"/dev/mapper/{POOL}-{uuids['web']}")
    stale = Path(f"/dev/mapper/{POOL}-nobody")
    run("umount", str(place))
    run("dmsetup", "remove", f"{POOL}-{uuids['idle']}")
    node.rename(stale)
    run("dmsetup", "message", POOL, "0", "reserve_metadata_snap")
    wrong = {"db": "not-mounted", "idle": "inactive", "web": "no-node", str(stale): "stale-node", POOL: "held-snapshot"}
    assert kinds(fsck(running)) == wrong
    assert kinds(fsck(running)) == wrong, "looking changes nothing"
    assert {each["state"] for each in fsck(running, Repair=True).values()} == {"mended"}
    assert fsck(running) == {}
    assert (place / "file").read_bytes() == b"data"
    assert node.is_block_device()
    assert not stale.exists()

    run("dmsetup", "message", POOL, "0", "create_thin 4000")
    (found,) = fsck(running).values()
    assert (found["kind"], found["subject"], found["loses"]) == ("unknown-data", "thin device 4000", True)
    assert fsck(running, Repair=True)["thin device 4000"]["state"] == "left"
    assert fsck(running, Repair=True, DeleteUnknown=True)["thin device 4000"]["state"] == "mended"
    assert fsck(running) == {}
    for name in uuids:
        running.call("POST", "/volumes/mount", {"VolumeUUID": name})
