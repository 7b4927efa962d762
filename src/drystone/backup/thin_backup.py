"""A backup of a thin device: what is mapped, or what differs from the device that the last backup was made of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from drystone.backup.facts import find_state
from drystone.backup.pipeline import Progress, silent
from drystone.backup.ranges import Ranges, clip
from drystone.backup.repository import BackupInfo, BackupRequest, Repository
from drystone.backup.source import DeviceSource
from drystone.backup.thin_source import ThinMap, read_extents
from drystone.backup.thin_state import ThinState, describe_state, find_doubt, from_about, was_written
from drystone.base.errors import DamagedError, NotFoundError
from drystone.formats.thin.devices import read_devices
from drystone.formats.thin.superblock import read_superblock
from drystone.kernel.blockdev import open_device


@dataclass(frozen=True, slots=True)
class ThinDisk:
    """An active thin device without an external origin.

    :ivar path: of the device. :ivar metadata: of its pool's metadata device. :ivar pool: dm uuid of the pool, or name.
    :ivar device: thin id. :ivar size: bytes.
    :ivar hold: holds a metadata snapshot of the pool; yields the block where it is.
    """

    path: str
    metadata: str
    pool: str
    device: int
    size: int
    hold: Callable[[], AbstractContextManager[int]]


@dataclass(frozen=True, slots=True)
class ThinReading:
    """What a backup is to read.

    :ivar state: of the backup that will be made. :ivar ranges: bytes that are mapped, or that differ from the base.
    :ivar since: thin id of the device that they differ from; None: all that is mapped, and `reason` says why.
    :ivar untouched: nothing was written to the device since it was made.
    """

    state: ThinState
    ranges: Ranges
    since: int | None
    reason: str = ""
    untouched: bool = False


class MappedSource(DeviceSource):
    """The data of a thin device: what `reading` says. As DeviceSource."""

    def __init__(self, disk: ThinDisk, reading: ThinReading) -> None:
        super().__init__(disk.path)
        self._disk = disk
        self._reading = reading

    @property
    def relative(self) -> bool:
        """Whether only changes since the base are told."""
        return self._reading.since is not None

    @property
    def identity(self) -> str:
        """A snapshot that nobody wrote to is known by its facts."""
        return f"thin:{sorted(self._reading.state.to_about().items())}" if self._reading.untouched else ""

    def extents(self) -> Ranges:
        """What is mapped, or what differs."""
        return self._reading.ranges

    def written_since(self) -> Ranges:
        """What differs now: a write to what was as in the base has made another mapping.

        :raises DamagedError: the metadata is wrong.
        """
        with self._disk.hold() as location, open_device(self._disk.metadata) as reader:
            thin_map = ThinMap(self._disk.metadata, location, self._disk.device, self._reading.since)
            return clip(read_extents(reader, thin_map), self._disk.size)


def read_mapped(disk: ThinDisk, old: ThinState | None, missing: str = "") -> ThinReading:
    """Find what to read, in a metadata snapshot that is held meanwhile.

    :param old: of the backup to build upon; None: there is none, and `missing` says why.
    :raises NotFoundError: the pool's metadata has no such device. :raises DamagedError: the metadata is wrong.
    """
    with disk.hold() as location, open_device(disk.metadata) as reader:
        superblock = read_superblock(reader, location=location)
        devices = read_devices(reader, superblock)
        if disk.device not in devices:
            raise NotFoundError(f"{disk.metadata} has no thin device {disk.device}")
        new = describe_state(disk.pool, disk.size, superblock, devices[disk.device])
        doubt = find_doubt(reader, superblock, devices, old, new) if old is not None else missing
        since = None if old is None or doubt else old.device
        ranges = read_extents(reader, ThinMap(disk.metadata, location, disk.device, since))
        untouched = not was_written(reader, superblock, devices[disk.device])
    return ThinReading(new, clip(ranges, disk.size), since, doubt, untouched)


def plan_thin(
    repository: Repository,
    disk: ThinDisk,
    request: BackupRequest,
    *,
    damaged: Callable[[DamagedError], None],
) -> tuple[str, ThinReading]:
    """(the backup to build upon or "", what to read).

    :param request: its base "" for the newest that is whole enough, or none if all is to be stored anew.
    :param damaged: takes what is wrong with each backup that is passed over.
    :raises: as `read_mapped`, and what `disk.hold` raises.
    """
    base, old, missing = _find_base(repository, request, damaged)
    return base, read_mapped(disk, old, missing)


def back_up_thin(
    repository: Repository,
    disk: ThinDisk,
    request: BackupRequest,
    reading: ThinReading,
    *,
    progress: Progress = silent,
) -> tuple[BackupInfo, list[str]]:
    """Back a thin device up, as planned; the backup, durable, and warnings, a line each.

    :param request: its base is that of the plan. :raises: as `Repository.create`.
    """
    since = "" if reading.since is None else str(reading.since)
    about = {**request.about, **reading.state.to_about(), "thin.since": since}
    with MappedSource(disk, reading) as source:
        made = repository.create(source, replace(request, about=about), progress=progress)
        warnings = source.warnings()
    if reading.since is None and request.base:
        warnings.append(f"all that is mapped was read: {reading.reason}")
    return made, warnings


def _find_base(
    repository: Repository, request: BackupRequest, damaged: Callable[[DamagedError], None]
) -> tuple[str, ThinState | None, str]:
    """(backup or "", its state, why there is no state)."""
    if request.anew:
        return "", None, "a full backup was asked for"
    if request.base:
        found: BackupInfo | None = repository.inspect(request.volume, request.base)
    else:
        found = repository.find_base(request.volume, damaged=damaged)
    if found is None:
        return "", None, "there is no backup to build upon"
    return found.backup, *find_state(found, from_about, "a thin device")
