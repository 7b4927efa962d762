"""The JSON that the daemon takes and gives: requests as msgspec Structs, answers with exactly the keys of seed 000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from drystone.base.clock import format_ruby
from drystone.base.errors import UsageError
from drystone.base.sizes import LARGEST, parse_size
from drystone.volumes.driver import Preview, Snapshot, Volume


class CreateVolume(msgspec.Struct, rename="pascal"):
    """POST /volumes/create. `Size` is whole bytes or text with a unit; 0 and "" mean the driver's default."""

    name: str = ""
    driver_name: str = ""
    size: int | str = 0
    backup_url: str = msgspec.field(default="", name="BackupURL")
    driver_volume_id: str = msgspec.field(default="", name="DriverVolumeID")
    type: str = ""
    iops: int = msgspec.field(default=0, name="IOPS")
    prepare_for_vm: bool = msgspec.field(default=False, name="PrepareForVM")
    endpoint: str = ""
    verbose: bool = False
    dry_run: bool = False


class VolumeRequest(msgspec.Struct, rename="pascal"):
    """Names a volume: GET and DELETE /volumes/, POST /volumes/mount and /volumes/umount."""

    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    mount_point: str = ""
    reference_only: bool = False
    refuse_snapshots: bool = False
    force: bool = False
    verbose: bool = False
    dry_run: bool = False


class CreateSnapshot(msgspec.Struct, rename="pascal"):
    """POST /snapshots/create."""

    name: str = ""
    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    verbose: bool = False
    dry_run: bool = False


class SnapshotRequest(msgspec.Struct, rename="pascal"):
    """Names a snapshot: GET and DELETE /snapshots/."""

    snapshot_uuid: str = msgspec.field(default="", name="SnapshotUUID")
    dry_run: bool = False


class CloneRequest(msgspec.Struct, rename="pascal"):
    """POST /volumes/clone. `RenewUUID`: its file system gets a UUID of its own."""

    snapshot_uuid: str = msgspec.field(default="", name="SnapshotUUID")
    name: str = ""
    renew_uuid: bool = msgspec.field(default=False, name="RenewUUID")
    verbose: bool = False
    dry_run: bool = False


class RollbackRequest(msgspec.Struct, rename="pascal"):
    """GET and POST /volumes/rollback."""

    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    snapshot_uuid: str = msgspec.field(default="", name="SnapshotUUID")
    dry_run: bool = False


class LossDocument(msgspec.Struct, rename="pascal", frozen=True):
    """The answer of GET /volumes/rollback: what would be lost. `Changed`: bytes, null where that cannot be told."""

    volume_name: str
    snapshot_name: str
    snapshot_created_at: str
    changed: int | None


class GroupRequest(msgspec.Struct, rename="pascal"):
    """POST /snapshots/group: snapshots of several volumes at one moment, called NAME-VOLUME."""

    volumes: list[str] = []
    name: str = ""
    verbose: bool = False
    dry_run: bool = False


class PreviewDocument(msgspec.Struct, frozen=True):
    """What a request with `DryRun` is answered with, in an array; see `Preview`."""

    title: str
    words: tuple[str, ...]
    program: dict[str, object] | None


class BackupRequest(msgspec.Struct, rename="pascal"):
    """The routes under /backups."""

    url: str = msgspec.field(default="", name="URL")
    snapshot_uuid: str = msgspec.field(default="", name="SnapshotUUID")
    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    volume_name: str = ""
    endpoint: str = ""
    verbose: bool = False


class FsckRequest(msgspec.Struct, rename="pascal"):
    """POST /fsck. `DeleteUnknown`: with `Repair`, also what throws away data that the catalogue knows nothing of."""

    repair: bool = False
    delete_unknown: bool = False


class ResizeRequest(msgspec.Struct, rename="pascal"):
    """POST /volumes/resize. `Size` is whole bytes or text with a unit; `KeepFilesystem`: only the volume grows."""

    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    size: int | str = 0
    keep_filesystem: bool = False
    verbose: bool = False
    dry_run: bool = False


class TrimRequest(msgspec.Struct, rename="pascal"):
    """POST /volumes/trim; no names: all that are mounted, where the driver can."""

    names: tuple[str, ...] = ()


class ForecastRequest(msgspec.Struct, rename="pascal"):
    """GET /volumes/forecast; `URL` is a destination of backups, "" for none."""

    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    url: str = msgspec.field(default="", name="URL")
    endpoint: str = ""


class AuditRequest(msgspec.Struct, rename="pascal"):
    """GET /audit: the newest entries; of one name or UUID where `Subject` is given."""

    subject: str = ""
    most: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000


class PoolRequest(msgspec.Struct, rename="pascal"):
    """POST /pools/extend; `Driver` "" for the only one that has a pool."""

    driver: str = ""
    dry_run: bool = False


class ListVolumes(msgspec.Struct, rename="pascal"):
    """GET /volumes/list; `Driver` "" for all."""

    driver: str = ""


class Reference(msgspec.Struct, rename="pascal"):
    """GET /uuid: what a name or a beginning stands for."""

    key: str = ""


def read_size(size: int | str) -> int | None:
    """Bytes of a request's size; None where none was asked.

    :raises UsageError: negative, larger than any device, or no size.
    """
    if isinstance(size, str):
        if not size:
            return None
        size = parse_size(size)
    if size < 0:
        raise UsageError(f"size {size} is negative")
    if size > LARGEST:
        raise UsageError("a size that is larger than a block device can be")
    return size or None


def spell_time(created: str) -> str:
    """The catalogue's ISO 8601 moment as Convoy spells it."""
    return format_ruby(datetime.fromisoformat(created))


def volume_document(
    volume: Volume, info: Mapping[str, str], snapshots: Sequence[tuple[Snapshot, Mapping[str, str]]]
) -> dict[str, object]:
    """A volume object; `snapshots` with their DriverInfo."""
    return {
        "UUID": volume.uuid,
        "Name": volume.name,
        "Driver": volume.driver,
        "MountPoint": volume.mount_point,
        "CreatedTime": spell_time(volume.created),
        "DriverInfo": dict(info),
        "Snapshots": {each.uuid: snapshot_document(volume, each, facts) for each, facts in snapshots},
    }


def snapshot_document(volume: Volume, snapshot: Snapshot, info: Mapping[str, str]) -> dict[str, object]:
    """A snapshot object."""
    return {
        "UUID": snapshot.uuid,
        "VolumeUUID": volume.uuid,
        "VolumeName": volume.name,
        "VolumeCreatedAt": spell_time(volume.created),
        "Name": snapshot.name,
        "CreatedTime": spell_time(snapshot.created),
        "DriverInfo": dict(info),
    }


def preview_documents(previews: Sequence[Preview]) -> list[PreviewDocument]:
    """The answer to a request with `DryRun`."""
    return [PreviewDocument(each.title, each.words, each.program) for each in previews]


BACKUP_KEYS = (
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
)
"""The keys of a backup object, in order."""
