"""Seed 000's page, followed by script on a real kernel: every command, every documented key."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import Host, run

pytestmark = pytest.mark.lab(memory="768M")

VOLUME_KEYS = {"UUID", "Name", "Driver", "MountPoint", "CreatedTime", "DriverInfo", "Snapshots"}
SNAPSHOT_KEYS = {"UUID", "VolumeUUID", "VolumeName", "VolumeCreatedAt", "Name", "CreatedTime", "DriverInfo"}
BACKUP_KEYS = {
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
}


def test_the_page(host: Host) -> None:
    words = ["thin_metadata_size", "-b", "2m", "-s", "100G", "-m", "100000", "-u", "M"]
    sizing = host.run("drystone.cli.pdata_tools", words)
    assert "411.15 megabytes" in sizing.text

    # Start server, with the page's own options: everything else is the default.
    host.whole_start = True
    host.options = ["--drivers", "devicemapper"]
    host.options += ["--driver-opts", f"dm.datadev={host.data}", "--driver-opts", f"dm.metadatadev={host.metadata}"]
    host.start()
    info = host.type_convoy("info").document
    assert info["devicemapper"] == {
        "Driver": "devicemapper",
        "Root": str(host.root / "devicemapper"),
        "DataDevice": host.data,
        "MetadataDevice": host.metadata,
        "ThinpoolDevice": "/dev/mapper/convoy-pool",
        "ThinpoolSize": str(384 << 20),
        "ThinpoolBlockSize": str(2 << 20),
        "DefaultVolumeSize": str(100 << 30),
    }

    # create, inspect
    uuid = host.type_convoy("create", "vol1", "--size", "64M").text
    document = host.type_convoy("inspect", "vol1").document
    assert set(document) == VOLUME_KEYS
    device = f"/dev/mapper/convoy-pool-{uuid}"
    assert document["DriverInfo"] == {"DevID": "1", "Device": device, "MountPoint": "", "Size": str(64 << 20)}
    assert run("blockdev", "--getsize64", device) == str(64 << 20)
    place = host.type_convoy("mount", "vol1").text
    assert host.type_convoy("inspect", "vol1").document["DriverInfo"]["MountPoint"] == place
    (Path(place) / "file").write_bytes(b"content" * 10_000)

    # snapshot create, snapshot inspect
    host.type_convoy("snapshot", "create", "vol1", "--name", "snap1")
    snapshot = host.type_convoy("snapshot", "inspect", "snap1").document
    assert set(snapshot) == SNAPSHOT_KEYS
    assert snapshot["DriverInfo"] == {"DevID": "2", "Size": str(64 << 20)}
    assert (snapshot["VolumeUUID"], snapshot["VolumeCreatedAt"]) == (uuid, document["CreatedTime"])

    # backup create, backup inspect, create --backup
    dest = f"vfs://{host.folder}/backups"
    url = host.type_convoy("backup", "create", "snap1", "--dest", dest).text
    assert re.fullmatch(re.escape(dest) + rf"\?backup=[0-9a-f-]{{36}}&volume={uuid}", url)
    backup = host.type_convoy("backup", "inspect", url).document
    assert set(backup) == BACKUP_KEYS
    assert (backup["DriverName"], backup["VolumeSize"]) == ("devicemapper", str(64 << 20))
    assert (backup["VolumeName"], backup["SnapshotName"]) == ("vol1", "snap1")
    assert backup["SnapshotCreatedAt"] == snapshot["CreatedTime"]
    assert "has 67108864 bytes" in host.type_convoy("create", "wrong", "--size", "128M", "--backup", url).error
    host.type_convoy("create", "vol2", "--backup", url)
    assert host.type_convoy("inspect", "vol2").document["DriverInfo"]["Size"] == str(64 << 20)
    again = host.type_convoy("mount", "vol2", "--mountpoint", str(host.folder / "mnt")).text
    assert again == str(host.folder / "mnt")
    assert (Path(again) / "file").read_bytes() == b"content" * 10_000

    go_away(host, "vol1", "vol2")


def go_away(host: Host, *names: str) -> None:
    """The page's last commands; nothing is left but the pool."""
    for name in names:
        assert host.convoy("umount", name).code == 0
        assert host.convoy("delete", name).code == 0
    assert host.convoy("list").document == {}
    assert run("dmsetup", "ls").split()[0] == "convoy-pool"
    assert " 0/192 " in run("dmsetup", "status", "convoy-pool")


def read(device: str) -> bytes:
    return Path(device).read_bytes()


def test_full_and_incremental_and_restored_byte_by_byte(running: Host) -> None:
    convoy = running.convoy
    uuid = convoy("create", "db").text
    place = Path(convoy("mount", "db").text)
    dest = f"vfs://{running.folder}/backups"
    (place / "big").write_bytes(bytes(range(256)) * (16 << 12))
    run("sync")
    convoy("snapshot", "create", "db", "--name", "one")
    full = convoy("backup", "create", "one", "--dest", dest).text
    first_size = int(run("du", "-sb", str(running.folder / "backups")).split()[0])
    (place / "small").write_bytes(b"more" * 1000)
    convoy("umount", "db")
    device = f"/dev/mapper/convoy-pool-{uuid}"
    second_content = read(device)
    convoy("snapshot", "create", "db", "--name", "two")
    incremental = convoy("backup", "create", "two", "--dest", dest).text
    added = int(run("du", "-sb", str(running.folder / "backups")).split()[0]) - first_size
    assert added < 4 << 20
    convoy("mount", "db")
    (place / "big").unlink()
    (place / "later").write_bytes(b"later" * 100_000)
    convoy("snapshot", "create", "db", "--name", "three")
    third = convoy("backup", "create", "three", "--dest", dest).text
    assert list(convoy("backup", "list", dest, "--volume-name", "db").document) == [full, incremental, third]

    # Any backup can go; the others stay whole.
    assert convoy("backup", "delete", full).code == 0
    assert convoy("backup", "delete", third).code == 0
    again = convoy("create", "again", "--backup", incremental).text
    assert read(f"/dev/mapper/convoy-pool-{again}") == second_content
    assert Path(convoy("mount", "again").text, "small").read_bytes() == b"more" * 1000


def test_a_snapshot_of_a_mounted_volume_is_consistent(running: Host) -> None:
    convoy = running.convoy
    place = Path(convoy("create", "db").text and convoy("mount", "db").text)
    writer = subprocess.Popen(
        ["sh", "-c", f"i=0; while :; do i=$((i+1)); echo $i > {place}/f$((i % 50)); rm -f {place}/f$((i % 49)); done"]
    )
    try:
        convoy("snapshot", "create", "db", "--name", "live")
    finally:
        writer.kill()
        writer.wait()
    url = convoy("backup", "create", "live", "--dest", f"vfs://{running.folder}/backups").text
    uuid = convoy("create", "again", "--backup", url).text
    checked = subprocess.run(
        ["e2fsck", "-fn", f"/dev/mapper/convoy-pool-{uuid}"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_next_volume_does_not_see_deleted_data(running: Host) -> None:
    uuid = running.convoy("create", "secret").text
    with Path(f"/dev/mapper/convoy-pool-{uuid}").open("r+b") as device:
        device.write(b"SECRET.." * (4 << 17))
    running.convoy("delete", "secret")
    uuid = running.convoy("create", "next").text
    with Path(f"/dev/mapper/convoy-pool-{uuid}").open("r+b") as device:
        for place in range(0, 64 << 20, 64 << 10):
            device.seek(place + 8192)
            device.write(b"x" * 4096)
    assert b"SECRET" not in read(f"/dev/mapper/convoy-pool-{uuid}")


def test_xfs(host: Host) -> None:
    host.set_options(fs="xfs", defaultvolumesize="320M")
    host.start()
    place = host.convoy("create", "db").text and host.convoy("mount", "db").text
    Path(place, "file").write_bytes(b"content")
    host.convoy("snapshot", "create", "db", "--name", "one")
    url = host.convoy("backup", "create", "one", "--dest", f"vfs://{host.folder}/backups").text
    host.convoy("create", "again", "--backup", url)
    assert Path(host.convoy("mount", "again").text, "file").read_bytes() == b"content"
    assert " xfs " in next(line for line in Path("/proc/self/mounts").read_text().splitlines() if place in line)


def test_what_would_be_run_is_shown_and_not_run(running: Host) -> None:
    before = run("dmsetup", "table")
    shown = running.drystone("volume", "create", "db", "--dry-run").text
    assert shown.startswith("# 1. make thin device 1 in convoy-pool\n")
    assert 'message convoy-pool "create_thin 1"' in shown
    assert "\n# then: mkfs.ext4 /dev/mapper/convoy-pool-" in shown
    (part,) = running.drystone("volume", "create", "db", "--dry-run", "--json").document
    assert re.fullmatch(r"1\. make thin device \d+ in convoy-pool", part["words"][0])
    for name, text in (("program.json", json.dumps(part["program"])), ("program.txt", shown)):
        (running.folder / name).write_text(text)
        checked = running.drystone("dvm", "dmexec", "--check", str(running.folder / name))
        operations = [each["op"] for each in checked.document["instructions"]]
        assert (checked.code, operations) == (0, [each["op"] for each in part["program"]["instructions"]])
    assert run("dmsetup", "table") == before
    running.convoy("create", "db")
    running.convoy("mount", "db")
    shown = running.drystone("snapshot", "create", "db", "--dry-run").text
    assert shown.index("suspend convoy-pool-") < shown.index("create_snap") < shown.index("resume convoy-pool-")
