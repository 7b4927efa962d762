"""Backups that Convoy itself wrote, as the daemon's requests see them: listed, inspected, restored, never changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from drystone.backup.convoy.store import ConvoyBackup, ConvoyStore, is_convoy_store
from drystone.backup.pipeline import Progress
from drystone.backup.url import BackupUrl
from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError
from drystone.store import Store
from drystone.volumes.documents import BACKUP_KEYS, spell_time
from drystone.volumes.service import Origin
from drystone.volumes.work import Work

log = logging.getLogger(__name__)


def list_convoy(store: Store, destination: str, volume: str) -> Iterator[dict[str, object]]:
    """Backup objects, oldest first; none where there is no such store or no such volume."""
    if is_convoy_store(store):
        try:
            for info in ConvoyStore(store).list(volume, damaged=_say):
                yield describe_convoy(destination, info)
        except NotFoundError:
            return


def find_convoy(store: Store, address: BackupUrl) -> ConvoyBackup:
    """:raises NotFoundError: there is none, or no such store."""
    return ConvoyStore(store).inspect(address.volume, address.backup)


def describe_convoy(destination: str, info: ConvoyBackup) -> dict[str, object]:
    """A backup object, with exactly the documented keys."""
    known = {
        "BackupURL": str(BackupUrl(destination, info.backup, info.volume)),
        "BackupUUID": info.backup,
        "DriverName": info.driver,
        "VolumeUUID": info.volume,
        "VolumeName": info.volume_name,
        "VolumeSize": str(info.size),
        "VolumeCreatedAt": _spell(info.volume_created),
        "SnapshotUUID": info.snapshot,
        "SnapshotName": info.snapshot_name,
        "SnapshotCreatedAt": _spell(info.snapshot_created),
        "CreatedTime": _spell(info.created),
    }
    return {key: known[key] for key in BACKUP_KEYS}


def convoy_origin(store: Store, address: BackupUrl, work: Work) -> Origin:
    """Where a new volume's content comes from.

    :raises NotFoundError: there is no such backup. :raises UnsupportedError: it is a file, and no image of a device.
    """
    info = find_convoy(store, address)
    if info.file:
        raise UnsupportedError(
            f"{address} is a file that Convoy's driver {info.driver} wrote, and no image of a device",
            hint="restore it with drystone backup restore, and unpack it",
        )

    def fill(target: Path) -> None:
        with work.doing("restore", f"{info.volume_name}@{info.snapshot_name}") as report:
            _restore(store, address, target, report)

    return Origin(info.driver, info.size, {}, fill)


def _restore(store: Store, address: BackupUrl, target: Path, report: Progress) -> None:
    ConvoyStore(store).restore(address.volume, address.backup, str(target), zeroed=True, progress=report)


def _spell(created: str) -> str:
    return spell_time(created) if created else ""


def _say(error: DamagedError) -> None:
    log.error("a backup is left out: %s", error)
