"""Backups of snapshots, and volumes out of backups.

A backup's URL is `<dest>?backup=<uuid>&volume=<uuid>`, the destination as it was given. What Convoy's documents show
of a backup is kept in the manifest's `about`, so a store explains itself without this daemon.

Incremental: the newest backup of the volume at that destination whose snapshot still exists here is the base, where
the driver can tell the difference of two snapshots. Every backup is complete by itself: any one can be deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drystone.backup.repository import BackupInfo, BackupRequest, Repository, create_repository, open_repository
from drystone.base.clock import Clock, format_ruby
from drystone.base.errors import NotFoundError, UnsupportedError, UsageError
from drystone.base.names import new_uuid
from drystone.store.opening import open_store
from drystone.volumes.documents import BACKUP_KEYS, spell_time
from drystone.volumes.driver import Driver, Snapshot, Volume
from drystone.volumes.service import Origin
from drystone.volumes.work import Work

_BACKUP = "?backup="
_VOLUME = "&volume="
_FACT = "DrystoneFact"


@dataclass(frozen=True, slots=True)
class BackupAddress:
    """The parts of a backup's URL."""

    destination: str
    backup: str
    volume: str

    @property
    def url(self) -> str:
        """As it is printed."""
        return f"{self.destination}{_BACKUP}{self.backup}{_VOLUME}{self.volume}"


def parse_address(url: str) -> BackupAddress:
    """:raises UsageError: the text is no URL that `backup create` printed."""
    destination, found, rest = url.rpartition(_BACKUP)
    backup, and_volume, volume = rest.partition(_VOLUME)
    if not found or not and_volume or not destination or not backup or not volume or "&" in volume:
        raise UsageError(f"{url!r} is no backup's URL", hint="it looks like vfs:///dir?backup=UUID&volume=UUID")
    return BackupAddress(destination, backup, volume)


class Backups:
    """Backups of the volumes of one daemon."""

    def __init__(self, clock: Clock, work: Work) -> None:
        self._clock = clock
        self._work = work

    def create(
        self, driver: Driver, volume: Volume, snapshot: Snapshot, siblings: Sequence[Snapshot], destination: str
    ) -> str:
        """Back a snapshot up; the URL. Durable when it returns.

        :param siblings: the volume's snapshots that may serve as a base.
        """
        repository = _make_repository(destination)
        base = self._find_base(repository, driver, snapshot, siblings)
        about = self._describe(volume, snapshot)
        request = BackupRequest(
            volume=volume.uuid,
            source_name=f"{volume.name}@{snapshot.name}",
            base=base[0] if base else "",
            about=about,
            backup=about["BackupUUID"],
        )
        with (
            self._work.doing(snapshot.uuid, "backup", f"{volume.name}@{snapshot.name}") as report,
            driver.read_snapshot(snapshot, base[1] if base else None) as source,
        ):
            info = repository.create(source, request, progress=report)
        return BackupAddress(destination, info.backup, volume.uuid).url

    def delete(self, url: str) -> None:
        """Remove a backup. :raises NotFoundError: there is none."""
        address = parse_address(url)
        _open_repository(address.destination).delete(address.volume, address.backup)

    def inspect(self, url: str) -> dict[str, object]:
        """The backup object. :raises NotFoundError: there is none."""
        address = parse_address(url)
        info = _open_repository(address.destination).inspect(address.volume, address.backup)
        return _document(address.destination, info)

    def list(self, destination: str, volume_uuid: str = "", volume_name: str = "") -> dict[str, dict[str, object]]:
        """Backup objects by URL, oldest first; of one volume where it is named. An empty place has none."""
        try:
            repository = _open_repository(destination)
        except NotFoundError:
            return {}
        found = {}
        for info in repository.list(volume_uuid):
            document = _document(destination, info)
            if volume_name in {"", document["VolumeName"]}:
                found[str(document["BackupURL"])] = document
        return found

    def origin(self, url: str, new_volume: str) -> Origin:
        """Where a new volume's content comes from. :raises NotFoundError: there is no such backup."""
        address = parse_address(url)
        repository = _open_repository(address.destination)
        info = repository.inspect(address.volume, address.backup)
        if "DriverName" not in info.about:
            raise UnsupportedError(f"{url} is no backup of a volume", hint="restore it with drystone backup restore")

        def fill(target: Path) -> None:
            with self._work.doing(new_volume, "restore", info.source) as report:
                repository.restore(address.volume, address.backup, str(target), zeroed=True, progress=report)

        facts = {key.removeprefix(_FACT): value for key, value in info.about.items() if key.startswith(_FACT)}
        return Origin(info.about["DriverName"], int(info.about["VolumeSize"]), facts, fill)

    def _find_base(
        self, repository: Repository, driver: Driver, snapshot: Snapshot, siblings: Sequence[Snapshot]
    ) -> tuple[str, Snapshot] | None:
        """The newest backup whose snapshot is still here, and that snapshot."""
        if not driver.can_read_delta():
            return None
        here = {each.uuid: each for each in siblings if each.size == snapshot.size}
        for info in reversed(repository.list(snapshot.volume)):
            base = here.get(info.about.get("SnapshotUUID", ""))
            if base is not None:
                return info.backup, base
        return None

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
        "BackupURL": BackupAddress(destination, info.backup, info.volume).url,
    }
    return {key: known.get(key, "") for key in BACKUP_KEYS}


def _make_repository(destination: str) -> Repository:
    return create_repository(open_store(_check(destination)))


def _open_repository(destination: str) -> Repository:
    return open_repository(open_store(_check(destination)))


def _check(destination: str) -> str:
    if not destination:
        raise UsageError("no destination was named", hint="--dest vfs:///srv/backup")
    if _BACKUP in destination:
        raise UsageError(f"{destination!r} is the URL of a backup, a destination was expected")
    return destination
