"""What a volume driver is asked: one small class behind `Driver`.

The service calls it; the service also keeps the catalogue, the journal and the locks. A driver makes, removes and
shows the things themselves. Two are built in (drivers/vfs.py, drivers/devicemapper.py); others come by an entry point
of the group `drystone.drivers`, whose object is a `DriverFactory`.

The contract that makes a killed daemon harmless:

* `plan_volume` and `plan_snapshot` decide and change nothing. The facts they return are in the journal, durable, before
  the call that uses them.
* `create_*` either did all of it or raises; the service then calls `delete_*` with the same value.
* `delete_*` succeeds on what exists, exists by half, or does not exist: it is also how a half-made volume is removed
  after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from drystone.base.clock import Clock
from drystone.volumes.pools import PoolRecords

if TYPE_CHECKING:
    from drystone.backup.source import Source

Facts = Mapping[str, str]
"""What a driver has to remember of a volume or a snapshot: text by key."""

Fill = Callable[[Path], None]
"""Writes a backup's bytes into the device or file at a path."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the catalogue.

    :ivar size: bytes; 0 where the driver sets no limit.
    :ivar created: ISO 8601 with offset, whole seconds.
    :ivar mount_point: "" when it is not mounted.
    :ivar facts: the driver's own.
    """

    uuid: str
    name: str
    driver: str
    size: int
    created: str
    mount_point: str = ""
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of the catalogue; `size` bytes as the volume had then.

    :ivar schedule: UUID of the schedule that took it; "" for one that somebody asked for.
    """

    uuid: str
    name: str
    volume: str
    created: str
    size: int
    facts: dict[str, str] = field(default_factory=dict)
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a new volume.

    :ivar size: bytes; None for the driver's default.
    :ivar vm: it shall hold a disk image for a virtual machine.
    :ivar identity: an existing thing of the driver to take over; "" for a new one.
    """

    uuid: str
    name: str
    size: int | None = None
    vm: bool = False
    identity: str = ""
    kind: str = ""
    iops: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a driver will make: bytes, and its facts."""

    size: int
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A change to show before it is made (`--dry-run`).

    :ivar action: create, delete, forget, mount, umount, snapshot-create or snapshot-delete.
    :ivar restored: a new volume gets the content of a backup.
    """

    action: str
    volume: Volume
    snapshot: Snapshot | None = None
    mount_point: str = ""
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do.

    :ivar title: whose part it is where a change has several ("snapshot monday", "volume db"); "" otherwise.
    :ivar words: its steps in plain words, in order.
    :ivar program: the program that would be run, as the JSON document of docs/reference/programs.md; None where
        device-mapper is not changed.
    """

    title: str
    words: tuple[str, ...]
    program: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalogue says of a driver's volumes at a moment.

    :ivar passing: UUIDs of volumes and snapshots that an operation of the journal is about: of those all may be there,
        or nothing.
    """

    volumes: tuple[Volume, ...]
    snapshots: tuple[Snapshot, ...]
    passing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the catalogue says (`drystone volume fsck`).

    :ivar kind: a word for machines. :ivar subject: what it is about. :ivar text: what is wrong, for people.
    :ivar remedy: what `mend` does, or what somebody can do where there is none, in words.
    :ivar mend: mends it; harmless when it is mended already. :raises DrystoneError: it cannot.
    :ivar volume: UUID of the volume whose lock is held around `mend`, "" for none.
    :ivar loses: mending it throws data away.
    """

    kind: str
    subject: str
    text: str
    remedy: str
    mend: Callable[[], object] | None = None
    volume: str = ""
    loses: bool = False


class Driver(Protocol):
    """A kind of volume. Calls for different volumes come from several threads at once, for one volume one at a time."""

    name: str

    def start(self, volumes: Sequence[Volume]) -> None:
        """Check the options against the machine, then bring up what the catalogue says exists.

        :raises DrystoneError: it cannot; nothing was changed.
        """

    def stop(self) -> None:
        """Let go of handles. Volumes stay as they are, mounted ones mounted."""

    def info(self) -> dict[str, str]:
        """The driver's section of `info`."""

    def plan_volume(self, wish: Wish) -> Plan:
        """Decide size and facts. :raises DrystoneError: the wish cannot be met."""

    def create_volume(self, volume: Volume, fill: Fill | None) -> None:
        """Make it, empty, or with what `fill` writes into it."""

    def delete_volume(self, volume: Volume, *, keep_data: bool = False) -> None:
        """Remove whatever there is of it; with `keep_data` only let go of it."""

    def volume_info(self, volume: Volume) -> dict[str, str]:
        """The DriverInfo of a volume."""

    def mount(self, volume: Volume, mount_point: str) -> str:
        """Mount it at a path, or where the driver likes when ""; the path. Mounted there already: nothing to do."""

    def umount(self, volume: Volume) -> None:
        """Unmount it from `volume.mount_point`. :raises BusyError: somebody is in it."""

    def is_mounted(self, volume: Volume, mount_point: str) -> bool:
        """Whether it is mounted there at this moment."""

    def plan_snapshot(self, volume: Volume, uuid: str) -> dict[str, str]:
        """Decide the facts of a snapshot. :raises DrystoneError: there is no room for one."""

    def create_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        """Take it; consistent while the volume is mounted and written."""

    def delete_snapshot(self, volume: Volume, snapshot: Snapshot) -> None:
        """Remove whatever there is of it."""

    def snapshot_info(self, volume: Volume, snapshot: Snapshot) -> dict[str, str]:
        """The DriverInfo of a snapshot."""

    def read_snapshot(self, snapshot: Snapshot, base: Snapshot | None) -> AbstractContextManager[Source]:
        """The bytes of a snapshot for a backup; with `base` those that differ from it, where the driver can tell."""

    def can_read_delta(self) -> bool:
        """Whether `read_snapshot` can tell what differs from a base."""

    def preview(self, change: Change) -> Preview:
        """What a change would do, without a title; nothing is changed."""

    def examine(self, known: Callable[[], Known]) -> list[Finding]:
        """What is there, held against what the catalogue says; nothing is changed. Others go on meanwhile.

        :param known: asked before and after looking: what is said the same both times was so in between.
        """


@dataclass(frozen=True, slots=True)
class Setting:
    """What a driver is made with.

    :ivar root: a folder of the driver's own, on durable storage.
    :ivar mounts: where volumes are mounted when no place is named.
    :ivar options: those of `--driver-opts` that begin with the driver's prefix, whole keys.
    :ivar pools: for drivers over a thin pool: where its transactions are written down.
    """

    root: Path
    mounts: Path
    options: Mapping[str, str]
    clock: Clock
    pools: PoolRecords
