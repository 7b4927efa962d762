"""A repository of backups in a store: made or opened first, then used by one method an action."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from drystone.backup.collecting.delete import delete_backup, sweep
from drystone.backup.format.digest import HASH
from drystone.backup.format.keys import REPOSITORY
from drystone.backup.format.manifest import Head as BackupInfo
from drystone.backup.objects import read_manifest, read_manifests
from drystone.backup.pipeline import Progress, silent
from drystone.backup.reading.restore import restore_backup, verify_backup
from drystone.backup.reading.target import choose_target
from drystone.backup.source import Source
from drystone.backup.tuning import Tuning
from drystone.backup.writing.bases import find_base
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.base.clock import Clock, SystemClock, format_rfc3339
from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError
from drystone.base.names import new_uuid
from drystone.store import Store

__all__ = ["BackupInfo", "BackupRequest", "Repository", "create_repository", "open_repository"]

FORMAT = "drystone-backup"
VERSION = 1
NO_ENCRYPTION = "none"


class RepositoryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of repository it is (docs/reference/backup-format.md, The repository document)."""

    format: str
    version: int
    id: str
    created: str
    hash: str
    encryption: str


class Repository:
    """Backups in `store`. Get one by `open_repository` or `create_repository`.

    A backup is named by the UUIDs of its volume and of itself. Several processes may use a repository at once.
    """

    def __init__(
        self, store: Store, document: RepositoryDocument, *, tuning: Tuning | None = None, clock: Clock | None = None
    ) -> None:
        self.store = store
        self.document = document
        self._tuning = tuning or Tuning()
        self._clock = clock or SystemClock()

    def create(self, source: Source, request: BackupRequest, *, progress: Progress = silent) -> BackupInfo:
        """Back `source` (entered already) up; durable when this returns.

        A failure leaves the repository as it was, but for packs that `sweep` removes if the store failed too.

        :raises NotFoundError: the base is not there. :raises MismatchError: the base is of another size.
        :raises ExistsError: there is a backup of that UUID. :raises BusyError: the base is being deleted.
        :raises DamagedError: the base is damaged, and nothing was written: build upon another, or upon none.
        """
        return create_backup(
            self.store, source, request, tuning=self._tuning, clock=self._clock, progress=progress
        ).head

    def list(self, volume: str = "", *, damaged: Callable[[DamagedError], None] | None = None) -> list[BackupInfo]:
        """The backups of a volume (of all volumes when ""), oldest first.

        :raises DamagedError: a manifest is wrong, unless `damaged` takes the error; then that backup is left out.
        """
        found = [each.head for each in read_manifests(self.store, volume, damaged)]
        return sorted(found, key=lambda head: (head.created, head.backup))

    def find_base(self, volume: str, *, damaged: Callable[[DamagedError], None], only: str = "") -> BackupInfo | None:
        """The newest backup of a volume that is whole enough to build upon; None: make a full one.

        :param damaged: takes what is wrong with each backup that is passed over.
        :param only: the backup of this UUID or none.
        """
        return find_base(self.store, volume, damaged, only)

    def inspect(self, volume: str, backup: str) -> BackupInfo:
        """One backup. :raises NotFoundError: there is none."""
        return read_manifest(self.store, volume, backup).head

    def restore(
        self,
        volume: str,
        backup: str,
        target: str,
        *,
        zeroed: bool = False,
        larger: bool = False,
        overwrite: bool = False,
        progress: Progress = silent,
    ) -> None:
        """Write a backup to the block device or file at path `target`, every byte verified; flushed when this returns.

        :param zeroed: the device reads as zeros (a fresh thin volume), so holes need not be written.
        :param larger: a device with more bytes than the image will do.
        :param overwrite: a file that exists may be replaced.

        :raises MismatchError: the sizes differ. :raises ExistsError: the file exists.
        :raises BusyError: the device is in use. :raises ExhaustedError: no room for the file.
        :raises NotFoundError: no such backup, folder or device. :raises UsageError: the target is a folder or the like.
        :raises DamagedError: stored bytes are wrong; the facts name the offset. A file is then not made.
        """
        manifest = read_manifest(self.store, volume, backup)
        to = choose_target(target, manifest.head.size, zeroed=zeroed, larger=larger, overwrite=overwrite)
        restore_backup(self.store, manifest, to, tuning=self._tuning, progress=progress)

    def verify(self, volume: str, backup: str, *, progress: Progress = silent) -> None:
        """Read all that a backup needs, and check it.

        :raises DamagedError: the fact `damages` lists what and where. :raises NotFoundError: there is no such backup.
        """
        verify_backup(self.store, read_manifest(self.store, volume, backup), tuning=self._tuning, progress=progress)

    def delete(self, volume: str, backup: str) -> int:
        """Remove a backup and the packs that only it used; how many packs.

        :raises NotFoundError: there is no such backup. :raises BusyError: one that is being made builds upon it.
        """
        return delete_backup(self.store, volume, backup)

    def sweep(self, *, force: bool = False) -> tuple[int, int]:
        """Remove what killed backups and deletions left: (packs, bytes). `force`: also of what may still run."""
        return sweep(self.store, force=force)


def open_repository(store: Store, *, tuning: Tuning | None = None, clock: Clock | None = None) -> Repository:
    """The repository in `store`.

    :raises NotFoundError: there is none. :raises DamagedError: its document is wrong.
    :raises UnsupportedError: a newer version, another hash, or encrypted.
    """
    try:
        data = store.get(REPOSITORY)
    except NotFoundError as error:
        raise NotFoundError("there is no repository of backups at the destination") from error
    try:
        document = msgspec.json.decode(data, type=RepositoryDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"the repository's document is wrong: {error}") from error
    if document.format != FORMAT:
        raise DamagedError(f"the repository's document is of format {document.format!r}, not {FORMAT!r}")
    if document.version > VERSION:
        raise UnsupportedError(
            f"the repository is of version {document.version}; this program reads up to {VERSION}",
            hint="use a newer drystone",
        )
    if document.hash != HASH or document.encryption != NO_ENCRYPTION:
        raise UnsupportedError(
            f"the repository has hash {document.hash!r} and encryption {document.encryption!r}: unknown here",
            hint="use a newer drystone",
        )
    return Repository(store, document, tuning=tuning, clock=clock)


def create_repository(store: Store, *, tuning: Tuning | None = None, clock: Clock | None = None) -> Repository:
    """Make an unencrypted repository in `store`, or open the one that is there. Durable when this returns.

    :raises: as `open_repository` does, but for NotFoundError.
    """
    document = RepositoryDocument(
        format=FORMAT,
        version=VERSION,
        id=new_uuid(),
        created=format_rfc3339((clock or SystemClock()).now()),
        hash=HASH,
        encryption=NO_ENCRYPTION,
    )
    try:
        return open_repository(store, tuning=tuning, clock=clock)
    except NotFoundError:
        store.put_if_absent(REPOSITORY, msgspec.json.encode(document))
    return open_repository(store, tuning=tuning, clock=clock)
