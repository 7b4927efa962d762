"""`dlvm backups` against an API in this process."""

from __future__ import annotations

from msgspec.structs import replace

from drystone.cluster.model.backup import Backup
from drystone.cluster.state import backups
from drystone.cluster.state.database import Work
from drystone.testing.cluster.command_line import CommandLine

ID, UUID = "7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11", "11111111-3f0c-4d3b-9a53-2f4a6f3f7b11"


def record(line: CommandLine) -> None:
    """One that is half done, as the monitor records it."""
    backup = Backup(
        id=ID, dlv="db", volume=UUID, snapshot=f"backup-{ID}", size=1 << 30, repository="nightly", status="processing",
        reason="h1 makes it", done=512 << 20, total=1 << 30,
    )  # fmt: skip
    line.client.desk.database.change(lambda work: backups.add(work.connection, backup))


def test_they_are_listed_shown_and_canceled(fast: CommandLine) -> None:
    assert fast.must("backups", "list") == []
    record(fast)
    listed = fast.run("backups", "list", "--dlv", "db", "--to", "nightly", "--status", "processing")
    assert (listed.code, listed.err) == (0, "")
    assert all(each in listed.out for each in (ID, "nightly", "512.0 MiB of 1.0 GiB", "h1 makes it"))
    assert fast.must("backups", "list", "--to", "weekly") == []
    assert fast.must("backups", "show", ID)["volume"] == UUID
    done = fast.run("backups", "cancel", ID)
    assert done.code == 0
    assert f"dlvm wait backup {ID} canceled" in done.err
    assert fast.must("backups", "cancel", ID)["status"] == "canceling"


def test_what_is_attached_nowhere_is_refused(fast: CommandLine) -> None:
    done = fast.run("backups", "create", "db", "--to", "nightly")
    assert (done.code, done.out) != (0, "")
    assert "backed up by the ihost that it is attached to" in done.err
    rehearsed = fast.run("backups", "create", "db", "--to", "nightly", "--dry-run")
    assert rehearsed.code == 0
    assert "/v1/dlvs/db/backups" in rehearsed.out
    assert fast.must("snapshots", "list", "db") == []


def test_a_url_is_no_repository(fast: CommandLine) -> None:
    """Keys in it would be in the database."""
    done = fast.run("backups", "create", "db", "--to", "s3://key:secret@bucket")
    assert done.code == 2
    assert fast.server.asked == []


def test_one_is_restored_as_a_new_dlv(fast: CommandLine) -> None:
    record(fast)
    words = ("backups", "restore", ID, "new", "--dvg", "fast", "--ihost", "h1")
    assert "is processing" in fast.run(*words).err

    def finish(work: Work) -> None:
        before = backups.load(work.connection, ID)
        backups.save(work.connection, before, replace(before, status="finished", backup=UUID))

    fast.client.desk.database.change(finish)
    plan = fast.run(*words, "--dry-run")
    assert plan.code == 0
    assert f"ihost h1 puts it together then, without a device for users, fills it from backup {UUID}" in plan.out
    done = fast.run(*words)
    job = fast.must("jobs", "list", "--kind", "restore")[0]
    assert f"dlvm wait job {job['id']} finished" in done.err
    shown = fast.run("dlvs", "show", "new").out
    assert f"restored from  backup {UUID}" in shown
    assert fast.must("jobs", "cancel", job["id"])["status"] == "canceling"
