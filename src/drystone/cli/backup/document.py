"""A backup as JSON, and as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drystone.backup.convoy.store import ConvoyBackup
    from drystone.backup.repository import BackupInfo


def describe_backup(url: str, info: BackupInfo | ConvoyBackup) -> dict[str, object]:
    """A backup as JSON: the URL, then what its manifest says. Sizes in bytes."""
    import msgspec

    from drystone.backup.repository import BackupInfo

    if isinstance(info, BackupInfo):
        return {"url": url, **msgspec.structs.asdict(info)}
    return {
        "url": url,
        "backup": info.backup,
        "volume": info.volume,
        "created": info.created,
        "source": f"{info.volume_name}@{info.snapshot_name}",
        "size": info.size,
        "stored": info.stored,
        "about": {
            "VolumeName": info.volume_name,
            "VolumeCreatedAt": info.volume_created,
            "DriverName": info.driver,
            "SnapshotUUID": info.snapshot,
            "SnapshotName": info.snapshot_name,
            "SnapshotCreatedAt": info.snapshot_created,
            "SingleFile": info.file,
        },
    }
