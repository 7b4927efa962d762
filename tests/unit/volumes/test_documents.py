"""Requests and answers have exactly the keys of seed 000."""

from __future__ import annotations

import pytest

from drystone.base.documents import decode
from drystone.base.errors import UsageError
from drystone.volumes.documents import (
    BackupRequest,
    CreateVolume,
    SnapshotRequest,
    VolumeRequest,
    read_size,
    snapshot_document,
    volume_document,
)
from drystone.volumes.driver import Snapshot, Volume

VOLUME = Volume("u1", "db", "vfs", 4096, "2026-01-02T03:04:05+01:00", "/mnt", {})
SNAPSHOT = Snapshot("s1", "monday", "u1", "2026-01-02T03:05:05+01:00", 4096, {})


def test_keys_of_requests() -> None:
    text = (
        '{"Name":"n","DriverName":"d","Size":5,"BackupURL":"b","DriverVolumeID":"i","Type":"t","IOPS":3,'
        '"PrepareForVM":true,"Verbose":true,"Unknown":1}'
    )
    wanted = decode(text, CreateVolume)
    assert (wanted.name, wanted.driver_name, wanted.size, wanted.backup_url) == ("n", "d", 5, "b")
    assert (wanted.driver_volume_id, wanted.type, wanted.iops) == ("i", "t", 3)
    assert wanted.prepare_for_vm
    assert decode('{"VolumeUUID":"v","MountPoint":"/m"}', VolumeRequest).mount_point == "/m"
    assert decode('{"SnapshotUUID":"s"}', SnapshotRequest).snapshot_uuid == "s"
    assert decode('{"URL":"u","VolumeUUID":"v"}', BackupRequest).url == "u"


@pytest.mark.parametrize("text", ["{", "[]", '{"Name":1}', '{"Size":true}', '{"IOPS":"x"}', "\xff"])
def test_malformed_requests(text: str) -> None:
    with pytest.raises(UsageError, match="request"):
        decode(text.encode("latin-1"), CreateVolume, "request")


def test_sizes() -> None:
    assert (read_size(0), read_size(""), read_size("2m"), read_size(7)) == (None, None, 2 << 20, 7)
    for wrong in (-1, "1.5G", "x", 1 << 63, 1 << 70, 512 * 10**5000):
        with pytest.raises(UsageError):
            read_size(wrong)


def test_a_volume_object() -> None:
    document = volume_document(VOLUME, {"Size": "4096"}, [(SNAPSHOT, {"FilePath": "/f"})])
    assert list(document) == ["UUID", "Name", "Driver", "MountPoint", "CreatedTime", "DriverInfo", "Snapshots"]
    assert document["CreatedTime"] == "Fri Jan 02 03:04:05 +0100 2026"
    assert document["Snapshots"] == {"s1": snapshot_document(VOLUME, SNAPSHOT, {"FilePath": "/f"})}


def test_a_snapshot_object() -> None:
    document = snapshot_document(VOLUME, SNAPSHOT, {})
    assert list(document) == [
        "UUID",
        "VolumeUUID",
        "VolumeName",
        "VolumeCreatedAt",
        "Name",
        "CreatedTime",
        "DriverInfo",
    ]
    assert document["VolumeCreatedAt"] == "Fri Jan 02 03:04:05 +0100 2026"
