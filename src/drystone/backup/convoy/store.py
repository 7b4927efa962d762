"""A Convoy store as a place to list and to restore from. Nothing is ever written to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drystone.backup.convoy import documents
from drystone.backup.convoy.blocks import ConvoyBlocks
from drystone.backup.convoy.documents import BLOCK, BlockMap, Volume
from drystone.backup.convoy.layout import (
    VOLUMES,
    Folder,
    check_id,
    likely_folders,
    parse_backup_key,
    parse_volume_key,
)
from drystone.backup.pipeline import Progress, ordered, silent
from drystone.backup.reading.damage import Damage, Damages, raise_damages
from drystone.backup.reading.image import CACHE, CachedImage
from drystone.backup.reading.in_place import InPlace, restore_in_place
from drystone.backup.reading.target import DeviceTarget, FileTarget, StandingTarget, choose_target
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError, NotFoundError, UsageError
from drystone.store import Store
from drystone.store.abc import check_key

_PIECE = 8 << 20
"""Bytes of a single file that are copied at once."""


@dataclass(frozen=True, slots=True)
class ConvoyBackup:
    """What a store says of a backup. Times are RFC 3339, sizes bytes.

    :ivar backup: its id, as in the URL; so is `volume`.
    :ivar size: of the volume, or of the file.
    :ivar stored: bytes of the blocks that it names, unpacked, equal ones counted each time; or the file's.
    :ivar file: the key of the single file that it is; "" for an image.
    """

    backup: str
    volume: str
    volume_name: str
    volume_created: str
    driver: str
    snapshot: str
    snapshot_name: str
    snapshot_created: str
    created: str
    size: int
    stored: int
    blocks: int
    file: str


@dataclass(frozen=True, slots=True)
class _Opened:
    """A backup with its map and its place."""

    folder: Folder
    blocks: BlockMap
    info: ConvoyBackup


def is_convoy_store(store: Store) -> bool:
    """Whether there is a Convoy store at a destination."""
    return next(iter(store.list(VOLUMES)), None) is not None


class ConvoyStore:
    """The backups that Convoy put into `store`. A backup is named by the ids of its volume and of itself.

    Listing all volumes lists all objects of the store, as they are spread over folders; a volume that is named is found
    at once.
    """

    def __init__(self, store: Store, *, tuning: Tuning | None = None) -> None:
        self._store = store
        self._tuning = tuning or Tuning()

    def list(self, volume: str = "", *, damaged: Callable[[DamagedError], None] | None = None) -> list[ConvoyBackup]:
        """The backups of a volume (of all when ""), oldest first.

        :raises DamagedError: a document is wrong, unless `damaged` takes the error; then that backup is left out.
        """
        below = VOLUMES
        known: dict[str, bytes | None] = {}
        if volume:
            folder, document = self._find_folder(volume)
            below, known = folder.backups, {folder.path: document}
        found = [parsed for key, _ in self._store.list(below) if (parsed := parse_backup_key(key))]
        volumes: dict[str, Volume] = {}
        backups = []
        for folder, name in sorted(found, key=lambda each: (each[0].path, each[1])):
            try:
                if folder.path not in volumes:
                    volumes[folder.path] = self._read_volume(folder, known.get(folder.path))
                backups.append(self._open(folder, name, volumes[folder.path]).info)
            except DamagedError as error:
                if damaged is None:
                    raise
                damaged(error)
            except NotFoundError:
                continue  # deleted since it was listed
        return sorted(backups, key=lambda each: (each.created, each.backup))

    def inspect(self, volume: str, backup: str) -> ConvoyBackup:
        """One backup. :raises NotFoundError: there is none. :raises DamagedError: its document is wrong."""
        return self._find(volume, backup).info

    def image(self, volume: str, backup: str, *, cache: int = CACHE) -> CachedImage:
        """A backup's image, readable anywhere; close it when done.

        :raises NotFoundError: there is no such backup. :raises UsageError: it is a file, not an image.
        """
        return CachedImage(self._blocks(self._find(volume, backup)), cache=cache)

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
        """Write a backup to the block device or file at path `target`; flushed when this returns.

        :param skip_damaged: go on past damage: see what is returned.
        :returns: the ranges that were left alone. Empty without `skip_damaged`.

        :raises: as `Repository.restore`. :raises UsageError: a single file was to go to a device.
        """
        opened = self._find(volume, backup)
        to = choose_target(target, opened.info.size, zeroed=zeroed, larger=larger, overwrite=overwrite)
        if opened.info.file:
            self._copy_file(opened, to, progress)
            return []
        return self._restore_image(self._blocks(opened), to, skip_damaged, progress)

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
        """Make the device or file at path `target`, which is there, the image: only what differs is written.

        :raises: as `Repository.restore_in_place`. :raises UsageError: the backup is a single file.
        """
        opened = self._find(volume, backup)
        blocks = self._blocks(opened)
        to = StandingTarget(target, blocks.size, larger=larger)
        return restore_in_place(blocks, to, skip_damaged=skip_damaged, tuning=self._tuning, progress=progress)

    def verify(self, volume: str, backup: str, *, progress: Progress = silent) -> None:
        """Read every block of a backup and check its sum. Of a single file there is no sum: its presence is seen to.

        :raises DamagedError: the fact `damages` lists what and where. :raises NotFoundError: there is no such backup.
        """
        opened = self._find(volume, backup)
        if opened.info.file:
            return
        damages = [
            Damage(offset, min(BLOCK, opened.info.size - offset), result.message)
            for offset, result in self._read(self._blocks(opened), lambda _offset, _plain: None, progress)
            if result is not None
        ]
        raise_damages(damages, hint="another backup of the volume may be whole", volume=volume, backup=backup)

    def _restore_image(
        self, blocks: ConvoyBlocks, to: DeviceTarget | FileTarget, skip: bool, progress: Progress
    ) -> Damages:
        damages = []
        hole = 0
        with to:
            for number in blocks.stored(0, -(-blocks.size // BLOCK)):
                if number * BLOCK > hole:
                    to.zero(hole, number * BLOCK - hole)
                hole = min(blocks.size, (number + 1) * BLOCK)
            if hole < blocks.size:
                to.zero(hole, blocks.size - hole)
            with contextlib.closing(self._read(blocks, to.write, progress)) as results:
                for offset, error in results:
                    if error is None:
                        continue
                    if not skip:
                        raise error
                    damages.append(Damage(offset, min(BLOCK, blocks.size - offset), error.message))
        return damages

    def _read(
        self, blocks: ConvoyBlocks, take: Callable[[int, bytes | memoryview], None], progress: Progress
    ) -> Generator[tuple[int, DamagedError | None], None, None]:
        """(offset, what is wrong) of every block; threads hand the sound ones to `take`."""
        numbers = blocks.stored(0, -(-blocks.size // BLOCK))

        def work(number: int) -> tuple[int, DamagedError | None]:
            try:
                take(number * BLOCK, blocks.read_block(number))
            except DamagedError as error:
                return number * BLOCK, error
            return number * BLOCK, None

        total, done = len(numbers) * BLOCK, 0
        progress(0, total)
        with (
            ThreadPoolExecutor(self._tuning.workers, thread_name_prefix="convoy") as pool,
            contextlib.closing(ordered(pool, work, numbers, 2 * self._tuning.workers)) as results,
        ):
            for each in results:
                done += BLOCK
                progress(done, total)
                yield each

    def _copy_file(self, opened: _Opened, to: DeviceTarget | FileTarget, progress: Progress) -> None:
        if isinstance(to, DeviceTarget):
            raise UsageError(
                f"backup {opened.info.backup} is a file of the driver {opened.info.driver}, no image of a device",
                hint="restore it to a file",
            )
        size = opened.info.size
        progress(0, size)
        with to:
            for at in range(0, size, _PIECE):
                length = min(_PIECE, size - at)
                to.write(at, self._store.get_range(opened.info.file, at, length))
                progress(at + length, size)

    def _blocks(self, opened: _Opened) -> ConvoyBlocks:
        info = opened.info
        if info.file:
            raise UsageError(
                f"backup {info.backup} is a file of the driver {info.driver}, no image", hint="restore it to a file"
            )
        return ConvoyBlocks(self._store, opened.folder, opened.blocks, info.size, f"backup {info.backup}")

    def _find(self, volume: str, backup: str) -> _Opened:
        check_id(backup, "backup")
        folder, document = self._find_folder(volume)
        try:
            return self._open(folder, backup, self._read_volume(folder, document))
        except NotFoundError as error:
            raise NotFoundError(
                f"there is no backup {backup} of volume {volume}", backup=backup, volume=volume
            ) from error

    def _find_folder(self, volume: str) -> tuple[Folder, bytes | None]:
        """A volume's folder, and its document where that was read. :raises NotFoundError: there is no such volume."""
        for folder in likely_folders(volume):
            with contextlib.suppress(NotFoundError):
                return folder, self._store.get(folder.volume_key)
        for key, _ in self._store.list(VOLUMES):
            found = parse_volume_key(key)
            if found is not None and found.volume == volume:
                return found, None
        raise NotFoundError(f"there is no volume {volume} in the Convoy store", volume=volume)

    def _read_volume(self, folder: Folder, document: bytes | None = None) -> Volume:
        """What is known of a volume, out of its document (None: not read yet)."""
        what = f"the document of volume {folder.volume}"
        try:
            found = documents.parse_volume(self._store.get(folder.volume_key) if document is None else document, what)
        except NotFoundError as error:
            raise DamagedError(f"{what} is missing", volume=folder.volume) from error
        except DamagedError as error:
            raise DamagedError(error.message, volume=folder.volume) from error
        if folder.volume not in found.ids:
            raise DamagedError(f"{what} is that of {found.ids[0] or found.ids[1]!r}", volume=folder.volume)
        return found

    def _open(self, folder: Folder, backup: str, volume: Volume) -> _Opened:
        what = f"the document of backup {backup} of volume {folder.volume}"
        data = self._store.get(folder.backup_key(backup))
        try:
            found = documents.parse_backup(data, what)
            if backup not in found.ids or folder.volume not in found.volumes:
                raise DamagedError(f"{what} is that of backup {found.ids} of volume {found.volumes}")
            return _Opened(folder, found, self._describe(folder, backup, volume, found, what))
        except DamagedError as error:
            facts = {"backup": backup, "volume": folder.volume, **error.facts}
            raise DamagedError(error.message, hint="use another backup", **facts) from error

    def _describe(self, folder: Folder, backup: str, volume: Volume, found: BlockMap, what: str) -> ConvoyBackup:
        size, stored = found.size or volume.size, len(found.offsets) * BLOCK
        if found.file:
            size = stored = self._file_size(folder, found.file, what)
        elif not size:
            raise DamagedError(f"{what} tells no size, nor does its volume's")
        elif len(found.offsets) and int(found.offsets[-1]) >= size:
            raise DamagedError(f"{what} names a block at byte {found.offsets[-1]} of an image of {size}")
        return ConvoyBackup(
            backup=backup,
            volume=folder.volume,
            volume_name=volume.name or found.volumes[1],
            volume_created=volume.created,
            driver=found.driver or volume.driver,
            snapshot=found.snapshot,
            snapshot_name=found.snapshot_name,
            snapshot_created=found.snapshot_created,
            created=found.created,
            size=size,
            stored=stored,
            blocks=len(found.offsets),
            file=found.file,
        )

    def _file_size(self, folder: Folder, key: str, what: str) -> int:
        """Bytes of a backup's single file. :raises DamagedError: it lies elsewhere, or is missing."""
        try:
            check_key(key)
        except UsageError as error:
            raise DamagedError(f"{what} names the file {key[:80]!r}, which is no key") from error
        above = key.rpartition("/")[0]
        if not key.startswith(f"{folder.path}/"):
            raise DamagedError(f"{what} names the file {key[:80]!r}, which is not its volume's")
        for name, size in self._store.list(above):
            if name == key:
                return size
        raise DamagedError(f"the file {key} is missing")
