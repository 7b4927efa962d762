"""`drystone volume schedule` as it is typed, and what the daemon makes of it."""

from __future__ import annotations

import json
import time

from drystone.base.clock import SystemClock
from drystone.volumes.catalogue import Catalogue

from .conftest import Host


def test_a_schedule_from_beginning_to_end(running: Host) -> None:
    assert running.drystone("volume", "create", "db").code == 0
    words = ["volume", "schedule", "add", "db", "--every", "1m", "--snapshots", "2"]
    shown = running.drystone(*words, "--dry-run").text
    assert shown.count("snapshot db-YYYYMMDD-HHMMSS") == 3
    assert "it keeps 2; others are not touched" in shown
    destination = f"vfs://{running.folder}/backups"
    added = running.drystone(*words, "--backup", destination, "--backups", "daily=7")
    assert added.text.startswith("db: next run at 20")
    assert running.drystone(*words).code == 4
    assert running.drystone("volume", "schedule", "add", "db", "--snapshots", "2").code == 2
    wrong = running.drystone(
        "volume", "schedule", "add", "db", "--name", "night", "--cron", "61 * * * *", "--snapshots", "2"
    )
    assert wrong.code == 2
    assert "Bad minute" in wrong.err

    assert running.drystone("volume", "schedule", "pause", "db").code == 0
    (listed,) = running.drystone("volume", "schedule", "list", "--json").document
    assert (listed["paused"], listed["next"], listed["volume"]) == (True, "", "db")
    assert "paused" in running.drystone("volume", "schedule", "list").text
    assert running.drystone("volume", "schedule", "resume", "db").code == 0

    # A minute has passed while no daemon ran, as far as its catalogue knows: the run that was missed is made at once.
    running.stop()
    catalogue = Catalogue(running.root / "catalogue.db", SystemClock())
    with catalogue.change() as connection:
        connection.execute("""UPDATE schedules SET wish = json_set(wish, '$.created', '2026-01-02T03:04:05+00:00')""")
    catalogue.close()
    running.start()
    limit = time.monotonic() + 60
    while not (listed := running.drystone("volume", "schedule", "list", "--json").document[0])["last"]:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert (listed["failures"], listed["problem"], listed["next"] > listed["last"]) == (0, "", True)
    (taken,) = running.drystone("snapshot", "list", "db", "--json").document
    (backup,) = running.drystone("volume", "backup", "list", destination, "--json").document
    assert taken["Name"].startswith("db-20")
    assert backup["SnapshotName"] == taken["Name"]

    assert running.drystone("volume", "schedule", "remove", "db").code == 0
    assert running.drystone("volume", "schedule", "list", "--json").document == []
    assert running.drystone("volume", "schedule", "remove", "db").code == 3
    assert json.loads(running.drystone("snapshot", "list", "db", "--json").text) == [taken]
