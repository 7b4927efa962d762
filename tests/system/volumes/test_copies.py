"""`drystone volume clone` and `rollback`, and `drystone snapshot group`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Host


def test_clones_and_ways_back_as_they_are_typed(running: Host) -> None:
    assert running.drystone("volume", "create", "db").code == 0
    folder = Path(running.drystone("volume", "mount", "db").text)
    (folder / "old").write_text("old")
    assert running.drystone("snapshot", "create", "db", "--name", "monday").code == 0
    (folder / "old").rename(folder / "new")

    shown = running.drystone("volume", "clone", "monday", "copy", "--dry-run").text
    assert "tar -x -f" in shown
    made = running.drystone("volume", "clone", "monday", "copy", "--json").document
    assert (made["Name"], made["Driver"]) == ("copy", "vfs")
    assert [each.name for each in Path(made["DriverInfo"]["Path"]).iterdir()] == ["old"]
    taken = running.drystone("volume", "clone", "monday", "copy")
    assert (taken.code, taken.out) == (4, "")
    assert "there is a volume 'copy' already" in taken.err

    assert running.drystone("volume", "rollback", "db", "monday", "--yes").code == 5
    assert running.drystone("volume", "umount", "db").code == 0
    refused = running.drystone("volume", "rollback", "db", "monday")
    assert refused.code == 13
    assert "what was written to volume db since snapshot monday of " in refused.err
    assert "--yes rolls it back without asking" in refused.err
    assert [each.name for each in folder.iterdir()] == ["new"]
    assert "mv " in running.drystone("volume", "rollback", "db", "monday", "--dry-run").text
    assert running.drystone("volume", "rollback", "db", "monday", "--yes").text == ""
    assert [each.name for each in folder.iterdir()] == ["old"]

    group = running.drystone("snapshot", "group", "db", "copy", "--name", "night")
    assert (group.code, group.out) == (9, "")
    assert "driver vfs takes no snapshots of several volumes at one moment" in group.err
    assert json.loads(running.drystone("volume", "fsck", "--json").text) == {"differences": []}
