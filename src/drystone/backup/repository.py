"""A repository of backups in a store: made or opened first, then used by one method an action."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from drystone.backup.collecting.delete import delete_backups
from drystone.backup.format.manifest import Head as BackupInfo
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.slot import Credential, Hardness
from drystone.backup.objects import read_manifests
from drystone.backup.pipeline import Progress, silent
from drystone.backup.reading.chunks import BackupChunks
from drystone.backup.reading.damage import Damages
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.image import CACHE, CachedImage
from drystone.backup.reading.in_place import InPlace, restore_in_place
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.restore import restore_backup
from drystone.backup.reading.target import StandingTarget, choose_target
from drystone.backup.reading.verify import Sample, Verified, verify_backup
from drystone.backup.source import Source
from drystone.backup.state.generations import read_state
from drystone.backup.state.operations import reading
from drystone.backup.stream import Stream
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault, create_vault, open_vault
from drystone.backup.writing.bases import find_base
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import DamagedError
from drystone.store import Store

if TYPE_CHECKING:
    from drystone.backup.collecting.collect import Collected
    from drystone.backup.collecting.prune import Plan, Pruned, Wish
    from drystone.backup.collecting.rebuild import Rebuilt
    from drystone.backup.collecting.scrubbing import Scrubbed
    from drystone.backup.collecting.stats import Stats

__all__ = ["BackupInfo", "BackupRequest", "Repository", "create_repository", "open_repository"]


class Repository:
    """Backups in a store. Get one by `open_repository` or `create_repository`.

    A backup is named by the UUIDs of its volume and of itself. Several processes may use a repository at once.
    """

    def __init__(self, vault: Vault, *, tuning: Tuning | None = None, clock: Clock | None = None) -> None:
        self.vault = vault
        self._tuning = tuning or Tuning()
        self._clock = clock or SystemClock()

    @property
    def store(self) -> Store:
        """Where the objects are."""
        return self.vault.store

    def create(self, source: Source | Stream, request: BackupRequest, *, progress: Progress = silent) -> BackupInfo:
        """Back `source` (entered already) up; durable when this returns.

        A failure leaves the repository as it was, but for objects that `prune` removes.

        :raises NotFoundError: the base is not there. :raises MismatchError: the base is of another size.
        :raises ExistsError: there is a backup of that UUID, or what is left of one.
        :raises BusyError: the same backup is being made, or somebody took this process for dead and cleaned up.
        :raises DamagedError: the base is damaged, and nothing was written: build upon another, or upon none.
        :raises UnsupportedError: the repository is of version 1.
        """
        return create_backup(self.vault, source, request, tuning=self._tuning, clock=self._clock, progress=progress)

    def list(self, volume: str = "", *, damaged: Callable[[DamagedError], None] | None = None) -> list[BackupInfo]:
        """The backups of a volume (of all volumes when ""), oldest first.

        :raises DamagedError: the repository's state is damaged; `drystone backup rebuild` makes a new one. In one of
            version 1: a manifest is, unless `damaged` takes the error; then that backup is left out.
        """
        if self.vault.version == 1:
            found = [each.head for each, _ in read_manifests(self.vault, volume, damaged)]
        else:
            found = [each.head() for each in read_state(self.vault).backups if volume in {"", each.volume}]
        return sorted(found, key=lambda head: (head.created, head.backup))

    def find_base(self, volume: str, *, damaged: Callable[[DamagedError], None], only: str = "") -> BackupInfo | None:
        """The newest backup of a volume that is whole enough to build upon; None: make a full one.

        :param damaged: takes what is wrong with each backup that is passed over.
        :param only: the backup of this UUID or none.
        """
        return find_base(self._locator(), volume, damaged, only)

    def inspect(self, volume: str, backup: str) -> BackupInfo:
        """One backup. :raises NotFoundError: there is none. :raises DamagedError: its manifest is damaged."""
        return read_entry(self._locator(), volume, backup).head

    def restore(
        self,
        volume: str,
        backup: str,
        target: str,
        *,
        zeroed: bool = False,
        larger: bool = False,
        overwrite: bool = False,
        skip_damaged: bool = False,
        progress: Progress = silent,
    ) -> Damages:
        """Write a backup to the block device or file at path `target`, every byte verified; flushed when this returns.

        :param zeroed: the device reads as zeros (a fresh thin volume), so holes need not be written.
        :param larger: a device with more bytes than the image will do.
        :param overwrite: a file that exists may be replaced.
        :param skip_damaged: go on past damage, and return the ranges that were left alone: zeros in a new file.

        :raises MismatchError: the sizes differ. :raises ExistsError: the file exists.
        :raises BusyError: the device is in use. :raises ExhaustedError: no room for the file.
        :raises NotFoundError: no such backup, folder or device. :raises UsageError: the target is a folder or the like.
        :raises DamagedError: stored bytes are wrong; the facts name the offset. A file is then not made.
        """
        with self._opened(volume, backup) as (locator, manifest):
            to = choose_target(target, manifest.head.size, zeroed=zeroed, larger=larger, overwrite=overwrite)
            return restore_backup(
                locator, manifest, to, tuning=self._tuning, progress=progress, skip_damaged=skip_damaged
            )

    def restore_in_place(
        self,
        volume: str,
        backup: str,
        target: str,
        *,
        larger: bool = False,
        skip_damaged: bool = False,
        progress: Progress = silent,
    ) -> InPlace:
        """Make the device or file at path `target`, which is there, the backup's image: only what differs is written.

        :param larger, skip_damaged: as in `restore`.

        :raises: as `restore` does; after an error the target holds a part of the image.
        """
        with self._opened(volume, backup) as (locator, manifest):
            to = StandingTarget(target, manifest.head.size, larger=larger)
            chunks = BackupChunks(locator, manifest)
            return restore_in_place(chunks, to, skip_damaged=skip_damaged, tuning=self._tuning, progress=progress)

    @contextlib.contextmanager
    def image(self, volume: str, backup: str, *, cache: int = CACHE) -> Iterator[CachedImage]:
        """Within the block, a backup's image is readable anywhere, and nobody collects what it needs.

        :param cache: bytes of chunks that are kept.

        :raises NotFoundError: there is no such backup. :raises DamagedError: its manifest is damaged.
        """
        with self._opened(volume, backup) as opened, CachedImage(BackupChunks(*opened), cache=cache) as image:
            yield image

    def verify(
        self,
        volume: str,
        backup: str,
        *,
        sample: Sample | None = None,
        source: Source | None = None,
        progress: Progress = silent,
    ) -> Verified:
        """Read all that a backup needs, or a sample of its chunks, and check it; compare it with an entered source.

        :raises DamagedError: the fact `damages` lists what and where. :raises NotFoundError: there is no such backup.
        :raises MismatchError: the backup is whole, and the source differs; the fact `ranges` says where.
        """
        with self._opened(volume, backup) as (locator, manifest):
            return verify_backup(
                locator, manifest, tuning=self._tuning, progress=progress, sample=sample, source=source
            )

    def delete(self, volume: str, backup: str) -> int:
        """Remove a backup and the packs that only it used; how many packs. As `delete_all` with one."""
        return self.delete_all([(volume, backup)]).packs

    def delete_all(self, backups: Iterable[tuple[str, str]]) -> Collected:
        """Remove backups, each named by (volume, backup), and the packs that only they used.

        Packs that an operation under way may refer to wait for the next collection.

        :raises NotFoundError: one is not there; none was deleted. :raises DamagedError: they are deleted, but another
            one's manifest is damaged, so nothing was collected.
        """
        return delete_backups(self.vault, backups, tuning=self._tuning)

    def prune(
        self,
        wish: Wish,
        *,
        dry_run: bool = False,
        force: bool = False,
        show: Callable[[Plan], None] = lambda _plan: None,
        progress: Progress = silent,
    ) -> Pruned:
        """Delete what a policy does not keep, collect, and rewrite packs of which much is unused.

        :param dry_run: only make the plan. :param force: take every operation under way for dead.
        :param show: is handed the plan before anything is done.

        :raises DamagedError: a manifest is missing or wrong, so nobody knows what its backup needs; nothing was
            changed. :raises NotFoundError: the volume that is wished for has no backup.
        """
        from drystone.backup.collecting.prune import prune

        return prune(self.vault, wish, tuning=self._tuning, dry_run=dry_run, force=force, show=show, progress=progress)

    def scrub(
        self, *, percent: float = 100, repair: bool = False, source: Source | None = None, progress: Progress = silent
    ) -> Scrubbed:
        """Read what is stored, name what is damaged, and repair it if that is wished.

        :param percent: of the packs, by turns. :param source: entered; has bytes that may be lost; implies `repair`.
        """
        from drystone.backup.collecting.scrubbing import scrub

        return scrub(
            self.vault, tuning=self._tuning, clock=self._clock, percent=percent, repair=repair, source=source,
            progress=progress,
        )  # fmt: skip

    def rebuild(self, *, force: bool = False) -> Rebuilt:
        """Make the state anew when its newest generation cannot be read; with `force` also when it can.

        :raises RefusedError: it can be read, and `force` was not said.
        """
        from drystone.backup.collecting.rebuild import rebuild

        return rebuild(self.vault, force=force)

    def stats(self) -> Stats:
        """What the repository holds, and what it saved."""
        from drystone.backup.collecting.stats import measure

        return measure(self.vault, tuning=self._tuning)

    def _locator(self) -> Locator:
        return Locator(self.vault, read_state(self.vault))

    @contextlib.contextmanager
    def _opened(self, volume: str, backup: str) -> Iterator[tuple[Locator, Manifest]]:
        """Within the block nobody collects what a backup needs, where the store lets that be said."""
        with reading(self.vault, volume, backup) as state:
            locator = Locator(self.vault, state)
            yield locator, read_entry(locator, volume, backup)


def open_repository(
    store: Store, credential: Credential | None = None, *, tuning: Tuning | None = None, clock: Clock | None = None
) -> Repository:
    """The repository in `store`.

    :raises NotFoundError: there is none. :raises DamagedError: its document is wrong.
    :raises UnsupportedError: a newer version, another hash or encryption.
    :raises UsageError: it is encrypted, and the credential is missing or wrong.
    """
    return Repository(open_vault(store, credential), tuning=tuning, clock=clock)


def create_repository(
    store: Store,
    credential: Credential | None = None,
    *,
    tuning: Tuning | None = None,
    clock: Clock | None = None,
    label: str = "",
    hardness: Hardness | None = None,
) -> Repository:
    """Make a repository in `store`, or open the one that is there; encrypted when a credential is given.

    Durable when this returns.

    :param label: of its first key slot, for people. :param hardness: what a guess at the passphrase costs.
    :raises: as `open_repository` does, but for NotFoundError. RefusedError: there is one that is not encrypted, and a
        credential was given.
    """
    vault = create_vault(store, credential, clock=clock, label=label, hardness=hardness)
    return Repository(vault, tuning=tuning, clock=clock)
