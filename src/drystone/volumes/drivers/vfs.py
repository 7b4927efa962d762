# ruff: noqa: ARG002  # the parameters are those of the Protocol, needed here or not
"""Driver `vfs`: a volume is a folder, a snapshot an archive of it. Needs no kernel support and no rights.

    <vfs.path>/<name>-<8 hex of the UUID>/     a volume's files; with --vm the sparse `disk.img`
    <vfs.path>/.snapshots/<uuid>.tar           a snapshot (drivers/archive.py)
    <vfs.path>/.making-<uuid>, .gone-<uuid>    a volume that is being made, or deleted
    <vfs.path>/.back-<uuid>-<content>          the other content of a volume that is going back to a snapshot

A snapshot is taken file by file: what is written meanwhile may be in it or not. Stop the writer, or use the driver
`devicemapper`, where one moment of the whole volume is wanted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import BusyError, DamagedError, UnsupportedError, UsageError
from drystone.base.files import sync_folder
from drystone.base.names import new_uuid
from drystone.base.sizes import parse_size, to_sectors
from drystone.kernel.mounts import list_mounts
from drystone.volumes.driver import Change, Fill, Finding, Known, Plan, Preview, Setting, Snapshot, Volume, Wish
from drystone.volumes.drivers.archive import pack, unpack
from drystone.volumes.options import check_known

if TYPE_CHECKING:
    from drystone.backup.source import Source

NAME = "vfs"
PATH = "vfs.path"
DEFAULT_SIZE = "vfs.defaultvolumesize"
IMAGE = "disk.img"
"""The file of a volume made with --vm."""

_DEFAULT_SIZE_TEXT = "100G"


class VfsDriver:
    """See the module. `path` need not exist yet; `default_size` bytes for --vm."""

    name = NAME

    def __init__(self, setting: Setting, path: Path, default_size: int) -> None:
        self._setting = setting
        self._path = path
        self._default_size = default_size

    @property
    def _snapshots(self) -> Path:
        return self._path / ".snapshots"

    def start(self, volumes: Sequence[Volume]) -> None:
        try:
            self._snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"{PATH}={self._path} is no folder") from error
        except PermissionError as error:
            raise UsageError(f"{PATH}={self._path} cannot be written") from error
        for volume in volumes:
            if not self._folder(volume).is_dir() and self._other(volume).is_dir():
                self._other(volume).rename(self._folder(volume))  # killed while it went back to a snapshot
            if not self._folder(volume).is_dir():
                raise DamagedError(
                    f"volume {volume.name} is in the catalogue, its folder {self._folder(volume)} is not there",
                    hint=f"is {self._path} the right {PATH}, and is it mounted?",
                    volume=volume.uuid,
                )

    def stop(self) -> None:
        """Nothing is held."""

    def info(self) -> dict[str, str]:
        return {
            "Driver": NAME,
            "Root": str(self._setting.root),
            "Path": str(self._path),
            "DefaultVolumeSize": str(self._default_size),
        }

    def plan_volume(self, wish: Wish) -> Plan:
        for flag, value in (("--id", wish.identity), ("--type", wish.kind), ("--iops", wish.iops)):
            if value:
                raise UsageError(f"driver {NAME} has no {flag}")
        size = wish.size or 0
        if wish.vm:
            size = self._default_size if wish.size is None else wish.size
            to_sectors(size, "a disk image's size")
            if not size:
                raise UsageError("a disk image's size cannot be 0")
        return Plan(size, {"Folder": f"{wish.name}-{wish.uuid[:8]}", "PrepareForVM": str(wish.vm).lower()})

    # Clones: see abilities.py

    def plan_clone(self, wish: Wish, volume: Volume, snapshot: Snapshot, *, renew: bool) -> Plan:
        if renew:
            raise UnsupportedError(f"driver {NAME} has folders: there is no file system to get a new UUID")
        facts = {"Folder": f"{wish.name}-{wish.uuid[:8]}", "PrepareForVM": volume.facts["PrepareForVM"]}
        return Plan(snapshot.size, facts)

    def create_clone(self, clone: Volume, snapshot: Snapshot, *, renew: bool) -> None:
        making = self._path / f".making-{clone.uuid}"
        making.mkdir(mode=0o755)
        unpack(self._file(snapshot), making)
        sync_folder(making)
        making.rename(self._folder(clone))
        sync_folder(self._path)

    def preview_clone(self, clone: Volume, snapshot: Snapshot, *, renew: bool) -> Preview:
        folder = self._folder(clone)
        return Preview("", (f"mkdir {folder}", f"tar -x -f {self._file(snapshot)} -C {folder}"))

    # Going back: see abilities.py

    def plan_roll_back(self, volume: Volume, snapshot: Snapshot) -> Plan:
        _check_no_mounts(volume, self._folder(volume))
        return Plan(snapshot.size, {**volume.facts, "Content": new_uuid()})

    def roll_back(self, volume: Volume, after: Volume, snapshot: Snapshot) -> None:
        self._other(after).mkdir(mode=0o755)
        unpack(self._file(snapshot), self._other(after))
        sync_folder(self._other(after))
        self._folder(volume).rename(self._other(volume))
        self._other(after).rename(self._folder(after))
        sync_folder(self._path)

    def discard(self, gone: Volume, kept: Volume) -> None:
        if self._other(gone) == self._other(kept):
            return
        if self._other(kept).exists():
            # The other content is in its place; it is not there yet when it was killed in between.
            if self._folder(kept).exists():
                self._folder(kept).rename(self._other(gone))
            self._other(kept).rename(self._folder(kept))
            sync_folder(self._path)
        if self._other(gone).exists():
            shutil.rmtree(self._other(gone))
            sync_folder(self._path)

    def measure_loss(self, volume: Volume, snapshot: Snapshot) -> int | None:
        return None

    def preview_roll_back(self, volume: Volume, after: Volume, snapshot: Snapshot) -> Preview:
        folder, other = self._folder(volume), self._other(volume)
        unpacked = f"tar -x -f {self._file(snapshot)} -C {self._other(after)}"
        return Preview("", (unpacked, f"mv {folder} {other}", f"mv {self._other(after)} {folder}", f"rm -r {other}"))

    def create_volume(self, volume: Volume, fill: Fill | None) -> None:
        making = self._path / f".making-{volume.uuid}"
        making.mkdir(mode=0o755)
        if fill is not None:
            archive = self._path / f".making-{volume.uuid}.tar"
            fill(archive)
            unpack(archive, making)
            archive.unlink()
        elif volume.facts["PrepareForVM"] == "true":
            handle = os.open(making / IMAGE, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                os.ftruncate(handle, volume.size)
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(making)
        making.rename(self._folder(volume))
        sync_folder(self._path)

    def delete_volume(self, volume: Volume, *, keep_data: bool = False) -> None:
        if keep_data:
            return
        folder, gone = self._folder(volume), self._path / f".gone-{volume.uuid}"
        for each in (folder, gone):
            _check_no_mounts(volume, each)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone)
        try:
            for each in (gone, self._path / f".making-{volume.uuid}", self._other(volume)):
                if each.exists():
                    shutil.rmtree(each)
        except OSError:
            # The volume is still in the catalogue: what is left of it belongs where that says.
            if gone.exists():
                gone.rename(folder)
            raise
        (self._path / f".making-{volume.uuid}.tar").unlink(missing_ok=True)
        sync_folder(self._path)

    def check_not_mounted(self, volume: Volume) -> None:
        _check_no_mounts(volume, self._folder(volume))

    def volume_info(self, volume: Volume) -> dict[str, str]:
        return {
            "Path": str(self._folder(volume)),
            "MountPoint": volume.mount_point,
            "Size": str(volume.size),
            "PrepareForVM": volume.facts["PrepareForVM"],
        }

    def mount(self, volume: Volume, mount_point: str) -> str:
        own = str(self._folder(volume))
        if mount_point not in {"", own}:
            raise UnsupportedError(f"driver {NAME} mounts no volume elsewhere; it is at {own}")
        if not self._folder(volume).is_dir():
            raise DamagedError(f"the folder {own} of volume {volume.name} is not there")
        return own

    def umount(self, volume: Volume) -> None:
        """A folder is always there; that it is not mounted any more is the catalogue's to know."""

    def is_mounted(self, volume: Volume, mount_point: str) -> bool:
        return mount_point in {"", str(self._folder(volume))} and self._folder(volume).is_dir()

    def plan_snapshot(self, volume: Volume, uuid: str) -> dict[str, str]:
        return {"File": f"{uuid}.tar"}

    def create_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        pack(self._folder(volume), self._file(snapshot))

    def delete_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        self._file(snapshot).unlink(missing_ok=True)
        sync_folder(self._snapshots)

    def snapshot_info(self, volume: Volume, snapshot: Snapshot) -> dict[str, str]:
        return {"FilePath": str(self._file(snapshot)), "Size": str(snapshot.size)}

    @contextlib.contextmanager
    def read_snapshot(self, snapshot: Snapshot, base: Snapshot | None) -> Iterator[Source]:
        from drystone.volumes.drivers.archive_source import ArchiveSource

        with ArchiveSource(self._file(snapshot)) as source:
            yield source

    def can_read_delta(self) -> bool:
        return False

    def check_resize(self, volume: Volume, *, filesystem: bool) -> None:
        if volume.facts["PrepareForVM"] != "true":
            raise UnsupportedError(
                f"volume {volume.name} is a folder, which has no size", hint="disk images made with --vm have one"
            )
        to_sectors(volume.size, "a disk image's size")
        if not (self._folder(volume) / IMAGE).is_file():
            raise DamagedError(f"volume {volume.name} has no {self._folder(volume) / IMAGE}")

    def preview_resize(self, volume: Volume, *, filesystem: bool) -> Preview:
        return Preview("", (f"truncate -s {volume.size} {self._folder(volume) / IMAGE}",))

    def resize_volume(self, volume: Volume) -> None:
        handle = os.open(self._folder(volume) / IMAGE, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(handle).st_size < volume.size:
                os.ftruncate(handle, volume.size)
            os.fsync(handle)
        finally:
            os.close(handle)

    def grow_filesystem(self, volume: Volume) -> None:
        """What is in an image is its machine's, which grows it."""

    def preview(self, change: Change) -> Preview:
        folder = self._folder(change.volume)
        snapshot = change.snapshot
        lines = {
            "create": [f"mkdir {folder}"],
            "delete": [f"rm -r {folder}"],
            "forget": [f"{folder} stays as it is"],
            "mount": [f"{folder} is there already; nothing is mounted"],
            "umount": ["nothing is mounted"],
            "snapshot-create": [f"tar -c -f {self._file(snapshot)} -C {folder} ." if snapshot else ""],
            "snapshot-delete": [f"rm {self._file(snapshot)}" if snapshot else ""],
        }[change.action]
        if change.restored:
            lines.append(f"the backup's files are unpacked into {folder}")
        elif change.action == "create" and change.volume.facts["PrepareForVM"] == "true":
            lines.append(f"truncate -s {change.volume.size} {folder / IMAGE}")
        return Preview("", tuple(lines))

    def examine(self, known: Callable[[], Known]) -> list[Finding]:
        before = known()
        try:
            folders = {each.name for each in self._path.iterdir()} - {self._snapshots.name}
            archives = {each.name for each in self._snapshots.iterdir()}
        except OSError as error:
            return [Finding("not-looked-at", str(self._path), f"it cannot be read: {error.strerror}", "is it mounted?")]
        after = known()
        passing = before.passing | after.passing
        found = [
            Finding(
                "no-data", each.name, f"its folder {self._folder(each)} is not there", "restore a backup, and delete it"
            )
            for each in after.volumes
            if each in before.volumes and each.uuid not in passing and each.facts["Folder"] not in folders
        ]
        found += [
            Finding("no-data", each.name, f"its archive {self._file(each)} is not there", "delete it")
            for each in after.snapshots
            if each in before.snapshots and each.uuid not in passing and each.facts["File"] not in archives
        ]
        if before != after or passing:
            return found  # what was made or deleted meanwhile may be among the files
        volumes, files = (
            {each.facts["Folder"] for each in after.volumes},
            {each.facts["File"] for each in after.snapshots},
        )
        for path in [self._path / each for each in sorted(folders - volumes)] + [
            self._snapshots / each for each in sorted(archives - files)
        ]:
            text, words = "the catalogue knows nothing of it", "look what it is; move it away or remove it"
            found.append(Finding("unknown-data", str(path), text, words))
        return found

    def _folder(self, volume: Volume) -> Path:
        return self._path / volume.facts["Folder"]

    def _other(self, volume: Volume) -> Path:
        """Where a content of a volume is while it is not the volume's."""
        return self._path / f".back-{volume.uuid}-{volume.facts.get('Content', 'first')}"

    def _file(self, snapshot: Snapshot) -> Path:
        return self._snapshots / snapshot.facts["File"]


def _check_no_mounts(volume: Volume, folder: Path) -> None:
    """:raises BusyError: something is mounted in the folder; deleting would go on into it."""
    place = str(folder.resolve())
    for each in list_mounts():
        if each.target == place or each.target.startswith(f"{place}/"):
            raise BusyError(f"{each.source} is mounted at {each.target}, in volume {volume.name}", hint="unmount it")


class _Factory:
    """Makes the driver out of its options."""

    prefix = "vfs"

    def make(self, setting: Setting) -> VfsDriver:
        check_known(setting.options, (PATH, DEFAULT_SIZE), NAME)
        path = setting.options.get(PATH)
        if path is None:
            raise UsageError(f"driver {NAME} needs the option {PATH}", hint=f"--driver-opts {PATH}=/srv/volumes")
        if not Path(path).is_absolute():
            raise UsageError(f"{PATH}={path} is no absolute path")
        size = parse_size(setting.options.get(DEFAULT_SIZE, _DEFAULT_SIZE_TEXT))
        to_sectors(size, DEFAULT_SIZE)
        return VfsDriver(setting, Path(path), size)


FACTORY = _Factory()
