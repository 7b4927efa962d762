"""Backups of snapshots, and volumes out of backups.

A backup's URL is `<dest>?backup=<uuid>&volume=<uuid>`, the destination as it was given. What Convoy's documents show
of a backup is kept in the manifest's `about`, so a store explains itself without this daemon.

Incremental: the newest backup of the volume at that destination whose snapshot still exists here is the base, where
the driver can tell the difference of two snapshots. Every backup is complete by itself: any one can be deleted.

A repository that is made here is encrypted when the daemon was given a passphrase, else not: Convoy's were not.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from drystone.backup.collecting.retention import Policy, decide
from drystone.backup.convoy.store import is_convoy_store
from drystone.backup.convoy.url import parse_convoy_url
from drystone.backup.format.slot import Credential
from drystone.backup.repository import BackupInfo, BackupRequest, Repository, create_repository, open_repository
from drystone.backup.url import BackupUrl, is_backup_url
from drystone.base.clock import Clock, format_ruby
from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError, UsageError
from drystone.base.names import new_uuid
from drystone.store import Store
from drystone.store.opening import open_store
from drystone.volumes.convoy_backups import convoy_origin, describe_convoy, find_convoy, list_convoy
from drystone.volumes.documents import BACKUP_KEYS, spell_time
from drystone.volumes.driver import Snapshot, Volume
from drystone.volumes.service import Origin, VolumeService
from drystone.volumes.work import Work

log = logging.getLogger(__name__)

_FACT = "DrystoneFact"
_SCHEDULE = "DrystoneSchedule"


class Backups:
    """Backups of the volumes of one daemon.

    :param credential: of encrypted destinations; new ones are encrypted by it. None: none is.

    `endpoint` is everywhere the URL of an S3 server that is not Amazon's; "" for what the environment says.
    """

    def __init__(self, clock: Clock, work: Work, credential: Credential | None = None) -> None:
        self._clock = clock
        self._work = work
        self._credential = credential

    def create(
        self, service: VolumeService, reference: str, destination: str, endpoint: str = "", *, schedule: str = ""
    ) -> str:
        """Back a snapshot up; the URL. Durable when it returns.

        :param schedule: UUID of the schedule that asks for it: the backup is its own, see `thin_out`.
        """
        volume_uuid = service.find_snapshot(reference).volume
        repository = self._make(destination, endpoint)
        older = repository.list(volume_uuid, damaged=_say)
        while True:
            try:
                return str(
                    BackupUrl(
                        destination, self._create_upon(service, reference, repository, older, schedule), volume_uuid
                    )
                )
            except DamagedError as error:
                # A damaged base must not stop the next backup: an older one, or none, serves as well.
                whole = [each for each in older if each.backup != error.facts.get("backup")]
                if len(whole) == len(older):
                    raise
                _say(error)
                older = whole

    def _create_upon(
        self,
        service: VolumeService,
        reference: str,
        repository: Repository,
        older: Sequence[BackupInfo],
        schedule: str = "",
    ) -> str:
        """Back a snapshot up, upon the newest of `older` that fits; the new backup's UUID.

        :raises DamagedError: the base is damaged; the facts name it as `backup`.
        """
        by_snapshot = {each.about.get("SnapshotUUID", ""): each.backup for each in older}
        newest_first = [each.about.get("SnapshotUUID", "") for each in reversed(older)]
        with service.reading(reference, newest_first) as reading:
            volume, snapshot, base = reading.volume, reading.snapshot, reading.base
            name = f"{volume.name}@{snapshot.name}"
            about = self._describe(volume, snapshot) | ({_SCHEDULE: schedule} if schedule else {})
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

    def thin_out(self, destination: str, volume: str, schedule: str, policy: Policy, endpoint: str = "") -> int:
        """Delete those backups of a volume that a schedule made and a policy does not keep; how many.

        One of the future neither counts nor goes: a clock that was wrong has made it, and newer ones would go for it.
        """
        now = self._clock.now()
        repository = self._open(destination, endpoint)
        own = [
            each
            for each in repository.list(volume, damaged=_say)
            if each.about.get(_SCHEDULE) == schedule and datetime.fromisoformat(each.created) <= now
        ]
        going = [(each.backup.volume, each.backup.backup) for each in decide(own, policy) if not each.kept]
        if going:
            repository.delete_all(going)
        return len(going)

    def delete(self, url: str, endpoint: str = "") -> None:
        """Remove a backup.

        :raises NotFoundError: there is none. :raises UnsupportedError: it is one of Convoy's own.
        """
        address = parse_convoy_url(url)
        store = self._store(address.destination, endpoint)
        found = self._find(store, address)
        if found is None:
            find_convoy(store, address)
            raise UnsupportedError(f"{url} was written by Convoy: it can be restored, and not be deleted here")
        found[0].delete(address.volume, address.backup)

    def inspect(self, url: str, endpoint: str = "") -> dict[str, object]:
        """The backup object; one of Convoy's own as well. :raises NotFoundError: there is none."""
        address = parse_convoy_url(url)
        store = self._store(address.destination, endpoint)
        found = self._find(store, address)
        if found is None:
            return describe_convoy(address.destination, find_convoy(store, address))
        return _document(address.destination, found[1])

    def list(
        self, destination: str, volume_uuid: str = "", volume_name: str = "", endpoint: str = ""
    ) -> dict[str, dict[str, object]]:
        """Backup objects by URL, Convoy's own first, then oldest first; of one volume where it is named. An empty place
        has none.

        One whose manifest is damaged is left out and logged: it must not hide the others.
        """
        store = self._store(destination, endpoint)
        documents = [*list_convoy(store, destination, volume_uuid)]
        with contextlib.suppress(NotFoundError):
            repository = open_repository(store, self._credential, clock=self._clock)
            documents += [_document(destination, info) for info in repository.list(volume_uuid, damaged=_say)]
        return {str(each["BackupURL"]): each for each in documents if volume_name in {"", each["VolumeName"]}}

    def list_heads(self, volume_uuid: str, destination: str, endpoint: str = "") -> Sequence[BackupInfo]:
        """What the repository at a destination has of a volume, oldest first; nothing where there is none."""
        try:
            return self._open(destination, endpoint).list(volume_uuid, damaged=_say)
        except NotFoundError:
            return []

    def origin(self, url: str, endpoint: str = "") -> Origin:
        """Where a new volume's content comes from; a backup of Convoy's own as well.

        :raises NotFoundError: there is no such backup.
        """
        address = parse_convoy_url(url)
        store = self._store(address.destination, endpoint)
        found = self._find(store, address)
        if found is None:
            return convoy_origin(store, address, self._work)
        repository, info = found
        if "DriverName" not in info.about:
            raise UnsupportedError(f"{url} is no backup of a volume", hint="restore it with drystone backup restore")

        def fill(target: Path) -> None:
            with self._work.doing("restore", info.source) as report:
                repository.restore(address.volume, address.backup, str(target), zeroed=True, progress=report)

        facts = {key.removeprefix(_FACT): value for key, value in info.about.items() if key.startswith(_FACT)}
        return Origin(info.about["DriverName"], int(info.about["VolumeSize"]), facts, fill)

    def _store(self, destination: str, endpoint: str) -> Store:
        return open_store(check_destination(destination), endpoint=endpoint)

    def _find(self, store: Store, address: BackupUrl) -> tuple[Repository, BackupInfo] | None:
        """A backup in a repository of ours; None: it may be one of Convoy's.

        :raises NotFoundError: neither is there. :raises UsageError: it is no URL of ours, and no store of Convoy's.
        """
        try:
            if not is_backup_url(str(address)) and is_convoy_store(store):
                return None
            repository = open_repository(store, self._credential, clock=self._clock)
            return repository, repository.inspect(address.volume, address.backup)
        except NotFoundError:
            if is_convoy_store(store):
                return None
            raise

    def _open(self, destination: str, endpoint: str) -> Repository:
        """:raises NotFoundError: there is none."""
        return open_repository(self._store(destination, endpoint), self._credential, clock=self._clock)

    def _make(self, destination: str, endpoint: str) -> Repository:
        """The repository that is there, or a new one."""
        try:
            return self._open(destination, endpoint)
        except NotFoundError:
            if self._credential is None:
                log.warning("backups at %s will not be encrypted: start the daemon with a passphrase", destination)
            return create_repository(self._store(destination, endpoint), self._credential, clock=self._clock)

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


def check_destination(destination: str) -> str:
    """The same. :raises UsageError: it is no place for backups."""
    if not destination:
        raise UsageError("no destination was named", hint="--dest vfs:///srv/backup")
    if "://" not in destination and not destination.startswith("/"):
        raise UsageError(
            f"destination {destination!r} is no URL and no absolute path", hint="write vfs:///srv/backup, three slashes"
        )
    if "?backup=" in destination:
        raise UsageError(f"{destination!r} is the URL of a backup, a destination was expected")
    return destination
