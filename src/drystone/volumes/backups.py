"""Backups of snapshots, and volumes out of backups.

A backup's URL is `<dest>?backup=<uuid>&volume=<uuid>`, the destination as it was given. What Convoy's documents show
of a backup is kept in the manifest's `about`, so a store explains itself without this daemon.

Incremental: the newest backup of the volume at that destination whose snapshot still exists here is the base, where
the driver can tell the difference of two snapshots. Every backup is complete by itself: any one can be deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from drystone.backup.repository import BackupInfo, BackupRequest, Repository, create_repository, open_repository
from drystone.backup.url import BackupUrl, parse_backup_url
from drystone.base.clock import Clock, format_ruby
from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError, UsageError
from drystone.base.names import new_uuid
from drystone.store.opening import open_store
from drystone.volumes.documents import BACKUP_KEYS, spell_time
from drystone.volumes.driver import Snapshot, Volume
from drystone.volumes.service import Origin, VolumeService
from drystone.volumes.work import Work

log = logging.getLogger(__name__)

_FACT = "DrystoneFact"


class Backups:
    """Backups of the volumes of one daemon."""

    def __init__(self, clock: Clock, work: Work) -> None:
        self._clock = clock
        self._work = work

    def create(self, service: VolumeService, reference: str, destination: str) -> str:
        """Back a snapshot up; the URL. Durable when it returns."""
        volume_uuid = service.find_snapshot(reference).volume
        repository = _make_repository(destination)
        older = repository.list(volume_uuid, damaged=_say)
        while True:
            try:
                return str(
                    BackupUrl(destination, self._create_upon(service, reference, repository, older), volume_uuid)
                )
            except DamagedError as error:
                # A damaged base must not stop the next backup: an older one, or none, serves as well.
                whole = [each for each in older if each.backup != error.facts.get("backup")]
                if len(whole) == len(older):
                    raise
                _say(error)
                older = whole

    def _create_upon(
        self, service: VolumeService, reference: str, repository: Repository, older: Sequence[BackupInfo]
    ) -> str:
        """Back a snapshot up, upon the newest of `older` that fits; the new backup's UUID.

        :raises DamagedError: the base is damaged; the facts name it as `backup`.
        """
        by_snapshot = {each.about.get("SnapshotUUID", ""): each.backup for each in older}
        newest_first = [each.about.get("SnapshotUUID", "") for each in reversed(older)]
        with service.reading(reference, newest_first) as reading:
            volume, snapshot, base = reading.volume, reading.snapshot, reading.base
            name = f"{volume.name}@{snapshot.name}"
            about = self._describe(volume, snapshot)
            request = BackupRequest(
                volume=volume.uuid,
                source_name=name,
                base=by_snapshot[base.uuid] if base else "",
                about=about,
                backup=about["BackupUUID"],
            )
            with (
                self._work.doing("backup", name) as report,
                reading.driver.read_snapshot(snapshot, base) as source,
            ):
                return repository.create(source, request, progress=report).backup

    def delete(self, url: str) -> None:
        """Remove a backup. :raises NotFoundError: there is none."""
        address = parse_backup_url(url)
        _open_repository(address.destination).delete(address.volume, address.backup)

    def inspect(self, url: str) -> dict[str, object]:
        """The backup object. :raises NotFoundError: there is none."""
        address = parse_backup_url(url)
        info = _open_repository(address.destination).inspect(address.volume, address.backup)
        return _document(address.destination, info)

    def list(self, destination: str, volume_uuid: str = "", volume_name: str = "") -> dict[str, dict[str, object]]:
        """Backup objects by URL, oldest first; of one volume where it is named. An empty place has none.

        One whose manifest is damaged is left out and logged: it must not hide the others.
        """
        try:
            repository = _open_repository(destination)
        except NotFoundError:
            return {}
        found = {}
        for info in repository.list(volume_uuid, damaged=_say):
            document = _document(destination, info)
            if volume_name in {"", document["VolumeName"]}:
                found[str(document["BackupURL"])] = document
        return found

    def origin(self, url: str) -> Origin:
        """Where a new volume's content comes from. :raises NotFoundError: there is no such backup."""
        address = parse_backup_url(url)
        repository = _open_repository(address.destination)
        info = repository.inspect(address.volume, address.backup)
        if "DriverName" not in info.about:
            raise UnsupportedError(f"{url} is no backup of a volume", hint="restore it with drystone backup restore")

        def fill(target: Path) -> None:
            with self._work.doing("restore", info.source) as report:
                repository.restore(address.volume, address.backup, str(target), zeroed=True, progress=report)

        facts = {key.removeprefix(_FACT): value for key, value in info.about.items() if key.startswith(_FACT)}
        return Origin(info.about["DriverName"], int(info.about["VolumeSize"]), facts, fill)

    def _describe(self, volume: Volume, snapshot: Snapshot) -> dict[str, str]:
        about = {
            "BackupUUID": new_uuid(),
            "DriverName": volume.driver,
            "VolumeUUID": volume.uuid,
            "VolumeName": volume.name,
            "VolumeSize": str(snapshot.size),
            "VolumeCreatedAt": spell_time(volume.created),
            "SnapshotUUID": snapshot.uuid,
            "SnapshotName": snapshot.name,
            "SnapshotCreatedAt": spell_time(snapshot.created),
            "CreatedTime": format_ruby(self._clock.now()),
        }
        return about | {_FACT + key: value for key, value in volume.facts.items()}


def _document(destination: str, info: BackupInfo) -> dict[str, object]:
    """A backup object, with exactly the documented keys; what another tool backed up has what can be said of it."""
    known = {
        "VolumeUUID": info.volume,
        "VolumeSize": str(info.size),
        "CreatedTime": format_ruby(datetime.fromisoformat(info.created)),
        "VolumeName": info.source,
    }
    known |= info.about
    known |= {
        "BackupUUID": info.backup,
        "BackupURL": str(BackupUrl(destination, info.backup, info.volume)),
    }
    return {key: known.get(key, "") for key in BACKUP_KEYS}


def _say(error: DamagedError) -> None:
    log.error("a backup is left out: %s", error)


def _make_repository(destination: str) -> Repository:
    return create_repository(open_store(_check(destination)))


def _open_repository(destination: str) -> Repository:
    return open_repository(open_store(_check(destination)))


def _check(destination: str) -> str:
    if not destination:
        raise UsageError("no destination was named", hint="--dest vfs:///srv/backup")
    if "://" not in destination and not destination.startswith("/"):
        raise UsageError(
            f"destination {destination!r} is no URL and no absolute path", hint="write vfs:///srv/backup, three slashes"
        )
    if "?backup=" in destination:
        raise UsageError(f"{destination!r} is the URL of a backup, a destination was expected")
    return destination
