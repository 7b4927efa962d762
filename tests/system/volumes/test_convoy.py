"""The command line of seed 000 against a real daemon with the driver vfs."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from drystone.backup.url import BackupUrl
from drystone.base.names import new_uuid
from drystone.cli.convoy import run

from .conftest import Host

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [+-]\d{4} \d{4}")


def test_a_volume_its_snapshot_its_backup_and_back(running: Host) -> None:
    convoy = running.convoy
    uuid = convoy("create", "db").text
    assert UUID.fullmatch(uuid)
    place = Path(convoy("mount", "db").text)
    (place / "file").write_bytes(b"first" * 1000)
    snapshot = convoy("snapshot", "create", "db", "--name", "monday").text
    assert UUID.fullmatch(snapshot)
    (place / "file").write_bytes(b"later")
    dest = f"vfs://{running.folder / 'backups'}"
    assert convoy("backup", "list", dest).document == {}
    url = convoy("backup", "create", "monday", "--dest", dest).text
    assert re.fullmatch(re.escape(dest) + rf"\?backup={UUID.pattern}&volume={uuid}", url)

    shown = convoy("backup", "inspect", url)
    assert list(shown.document) == [
        "BackupURL",
        "BackupUUID",
        "DriverName",
        "VolumeUUID",
        "VolumeName",
        "VolumeSize",
        "VolumeCreatedAt",
        "SnapshotUUID",
        "SnapshotName",
        "SnapshotCreatedAt",
        "CreatedTime",
    ]
    assert shown.out.startswith('{\n\t"BackupURL"')
    assert all(isinstance(each, str) for each in shown.document.values())
    volume = convoy("inspect", "db").document
    assert shown.document["VolumeCreatedAt"] == volume["CreatedTime"]
    assert shown.document["SnapshotCreatedAt"] == volume["Snapshots"][snapshot]["CreatedTime"]
    assert TIME.fullmatch(shown.document["CreatedTime"])
    assert convoy("backup", "list", dest).document == {url: shown.document}
    assert convoy("backup", "list", dest, "--volume-name", "db").document == {url: shown.document}
    assert convoy("backup", "list", dest, "--volume-name", "other").document == {}
    assert convoy("backup", "list", "--volume-uuid", uuid, dest).document == {url: shown.document}

    assert convoy("umount", "db").text == ""
    assert convoy("delete", "db").text == ""
    again = convoy("create", "db", "--backup", url).text
    assert again != uuid
    restored = Path(convoy("mount", again[:8]).text)
    assert (restored / "file").read_bytes() == b"first" * 1000
    assert convoy("backup", "delete", url).text == ""
    assert convoy("backup", "list", dest).document == {}
    assert convoy("backup", "inspect", url).code == 1


def test_a_sparse_disk_image_costs_what_is_in_it(running: Host) -> None:
    convoy = running.convoy
    image = Path(convoy("create", "vm1", "--vm", "--size", "20G").text and convoy("mount", "vm1").text) / "disk.img"
    with image.open("r+b") as file:
        file.seek(12 << 30)
        file.write(b"boot" * 1000)
    convoy("snapshot", "create", "vm1", "--name", "one")
    url = convoy("backup", "create", "one", "--dest", f"vfs://{running.folder}/backups").text
    assert convoy("backup", "inspect", url).document["VolumeSize"] == str(20 << 30)
    again = Path(convoy("create", "vm2", "--backup", url).text and convoy("mount", "vm2").text) / "disk.img"
    facts = again.stat()
    assert (facts.st_size, facts.st_blocks * 512 < 4 << 20) == (20 << 30, True)
    with again.open("rb") as file:
        file.seek(12 << 30)
        assert file.read(4000) == b"boot" * 1000
    assert convoy("inspect", "vm2").document["DriverInfo"]["PrepareForVM"] == "true"


def test_options_may_precede_and_follow(running: Host) -> None:
    assert running.convoy("create", "--size", "1G", "before").code == 0
    assert running.convoy("create", "after", "--size", "1g").code == 0
    assert running.convoy("inspect", "after").document["DriverInfo"]["Size"] == str(1 << 30)


def test_info_and_list(running: Host) -> None:
    info = running.convoy("info").document
    assert list(info) == ["General", "vfs"]
    assert info["General"]["DefaultDriver"] == "vfs"
    assert info["General"]["DriverList"] == ["vfs"]
    assert info["vfs"]["Driver"] == "vfs"
    uuid = running.convoy("create").text
    listed = running.convoy("list").document
    assert list(listed) == [uuid]
    assert listed[uuid]["Name"] == f"volume-{uuid[:8]}"
    assert listed[uuid] == running.convoy("inspect", uuid).document
    assert running.convoy("list", "--driver", "vfs").document == listed


def test_verbose_prints_objects(running: Host) -> None:
    created = running.convoy("--verbose", "create", "db").document
    assert created["Name"] == "db"
    assert running.convoy("--verbose", "snapshot", "create", "db").document["VolumeName"] == "db"


def test_snapshots(running: Host) -> None:
    running.convoy("create", "db")
    uuid = running.convoy("snapshot", "create", "db", "--name", "one").text
    document = running.convoy("snapshot", "inspect", "one").document
    assert document["UUID"] == uuid
    assert tarfile.is_tarfile(document["DriverInfo"]["FilePath"])
    assert running.convoy("snapshot", "delete", "one").code == 0
    assert running.convoy("snapshot", "inspect", "one").code == 1


def test_several_volumes_are_deleted_at_once(running: Host) -> None:
    for name in ("aa", "bb", "cc"):
        running.convoy("create", name)
    assert running.convoy("delete", "aa", "cc", "-r").code == 0
    assert [each["Name"] for each in running.convoy("list").document.values()] == ["bb"]


def test_failures(running: Host) -> None:
    running.convoy("create", "db")
    nobody = new_uuid(), new_uuid()
    for words, message in (
        (("create", "db"), "there is a volume 'db' already"),
        (("create", "a b"), "not valid"),
        (("create", "x1", "--size", "1.5G"), "not a whole number"),
        (("create", "x2", "--driver", "zfs"), "runs no driver 'zfs'"),
        (("create", "x3", "--backup", "vfs:///none"), "no URL of a backup"),
        (("create", "x4", "--backup", str(BackupUrl(f"vfs://{running.folder}/none", *nobody))), "repository"),
        (("create", "x5", "--iops", "5"), "has no --iops"),
        (("create", "x6", "--nonsense"), "No such option"),
        (("inspect", "nothing"), "there is no volume 'nothing'"),
        (("snapshot", "delete", "nothing"), "there is no snapshot"),
        (("umount", "db"), "is not mounted"),
        (("mount", "db", "--mountpoint", "/mnt/x"), "mounts no volume elsewhere"),
        (("backup", "create", "nothing", "--dest", "vfs:///x"), "there is no snapshot"),
        (("backup", "list", "gopher://x"), "not served"),
    ):
        ran = running.convoy(*words)
        assert ran.code == 1, ran
        assert message in ran.document["Error"], ran
        assert message.split("'")[0] in ran.err, ran
    assert len(running.convoy("list").document) == 1


def test_an_unreachable_daemon(host: Host) -> None:
    ran = host.convoy("list")
    assert (ran.code, list(ran.document)) == (1, ["Error"])
    assert "cannot talk to the daemon" in ran.err
    assert host.drystone("volume", "list").code == 6


def test_a_defect_is_a_failure_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr("drystone.cli.convoy.UnixClient.call", stumble)
    assert run(["list"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {"Error": "ZeroDivisionError: no luck"}
    assert err.startswith("level=error")
