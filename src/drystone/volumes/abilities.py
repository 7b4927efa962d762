"""What some drivers can do beyond `Driver`: a small Protocol each, which the service looks for when it is asked.

A driver that has the methods has the ability; who lacks them is told of in one line. So a driver that somebody wrote
for an older Drystone goes on working.

The contract is that of driver.py: `plan_*` decides and changes nothing, and what it returns is in the journal, durable,
before the call that uses it; what is cut short is ended by calls that are harmless when done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from drystone.base.errors import UnsupportedError
from drystone.volumes.driver import Driver, Plan, Preview, Snapshot, Volume, Wish

if TYPE_CHECKING:
    from drystone.backup.ranges import Ranges


class PoolReport(msgspec.Struct, frozen=True):
    """A pool as it is now (GET /pools). Sizes in bytes; 0 where a pool that has failed does not say.

    :ivar state: ok, low, full, needs-check or failed (drivers/pool_room.py). :ivar text: why; "" when it is ok.
    """

    name: str
    driver: str
    state: str
    text: str
    data_used: int = 0
    data_total: int = 0
    metadata_used: int = 0
    metadata_total: int = 0


class PoolGrowth(msgspec.Struct, frozen=True):
    """A pool that became larger, or would. Sizes in bytes."""

    name: str
    driver: str
    data_before: int
    data_after: int
    metadata_before: int
    metadata_after: int


@runtime_checkable
class KeepsPool(Protocol):
    """Its volumes share a pool of room."""

    def pool_report(self) -> PoolReport:
        """The pool as it is now."""

    def preview_extension(self) -> Preview:
        """What `extend_pool` would do. :raises DrystoneError: as that does."""

    def extend_pool(self) -> PoolGrowth:
        """Make the pool as large as its devices have become; durable when it returns.

        :raises RefusedError: they have not.
        """


@runtime_checkable
class Resizes(Protocol):
    """Its volumes can become larger. `volume` is everywhere the volume with its new size."""

    def check_resize(self, volume: Volume, *, filesystem: bool) -> None:
        """May it have that size, and its file system grow to it? :raises DrystoneError: no; nothing was changed."""

    def preview_resize(self, volume: Volume, *, filesystem: bool) -> Preview:
        """What both calls below would do."""

    def resize_volume(self, volume: Volume) -> None:
        """Make it so large, durably; one that is stays so. :raises DrystoneError: it cannot; it is as it was."""

    def grow_filesystem(self, volume: Volume) -> None:
        """Make the file system on it as large as it is; one that is stays so. :raises DrystoneError: it cannot."""


@runtime_checkable
class Forecasts(Protocol):
    """It can tell what a backup of a volume would read, without making a snapshot."""

    def list_mapped(self, volume: Volume, base: Snapshot | None) -> Ranges:
        """Byte ranges that hold data at this moment, or that differ from a snapshot of the volume."""


@runtime_checkable
class Trims(Protocol):
    """Free blocks of file systems on its volumes can be given back."""

    def trim_volume(self, volume: Volume) -> int:
        """Bytes that were given back of a mounted volume."""


@runtime_checkable
class SeesMounts(Protocol):
    """It can tell whether a volume is mounted, by whomever: asked before its snapshots are deleted with it."""

    def check_not_mounted(self, volume: Volume) -> None:
        """:raises BusyError: it is mounted."""


@runtime_checkable
class Withdraws(Protocol):
    """Its volumes can be opened by anybody, and be taken out of reach first: before their snapshots are deleted."""

    def withdraw(self, volume: Volume) -> None:
        """Have it so that nobody can open it, until it is brought back or the daemon starts again.

        :raises BusyError: somebody has it open.
        """

    def bring_back(self, volume: Volume) -> None:
        """Have it where it was."""


@runtime_checkable
class Clones(Protocol):
    """Makes volumes out of snapshots. A clone that was cut short is removed by `delete_volume`."""

    def plan_clone(self, wish: Wish, volume: Volume, snapshot: Snapshot, *, renew: bool) -> Plan:
        """Decide size and facts of a clone of `snapshot`, which is one of `volume`.

        :param renew: the clone's file system shall have an identity (UUID) of its own.
        :raises DrystoneError: there can be none.
        """

    def create_clone(self, clone: Volume, snapshot: Snapshot, *, renew: bool) -> None:
        """Make it: a volume of its own, which needs the snapshot no more. Durable when it returns."""

    def preview_clone(self, clone: Volume, snapshot: Snapshot, *, renew: bool) -> Preview:
        """What `create_clone` would do, without a title."""


@runtime_checkable
class RollsBack(Protocol):
    """Has volumes hold again what their snapshots hold.

    After `roll_back` there are two contents, and the catalogue says which of them is the volume's; `discard` removes
    the other one. So both the undoing and the completion of what was cut short are a `discard`.
    """

    def plan_roll_back(self, volume: Volume, snapshot: Snapshot) -> Plan:
        """Decide size and facts of the volume after it. :raises BusyError: it is in use."""

    def roll_back(self, volume: Volume, after: Volume, snapshot: Snapshot) -> None:
        """Have `after`, the same volume with the planned size and facts, hold what `snapshot` holds. What `volume` held
        stays until `discard`, and so does the snapshot. Durable when it returns.
        """

    def discard(self, gone: Volume, kept: Volume) -> None:
        """Of one volume's two contents, be `kept`, and remove whatever there is of `gone`."""

    def measure_loss(self, volume: Volume, snapshot: Snapshot) -> int | None:
        """Bytes that the volume holds otherwise than the snapshot; None where that cannot be told soon."""

    def preview_roll_back(self, volume: Volume, after: Volume, snapshot: Snapshot) -> Preview:
        """What `roll_back` would do, without a title."""


@runtime_checkable
class TakesGroups(Protocol):
    """Takes snapshots of several volumes at one moment."""

    def create_snapshots(self, pairs: Sequence[tuple[Volume, Snapshot]]) -> None:
        """Take all, or none: what was written to any of the volumes before what is in a snapshot is in its own, too."""

    def preview_snapshots(self, pairs: Sequence[tuple[Volume, Snapshot]]) -> Preview:
        """What `create_snapshots` would do, without a title."""


def cloner(driver: Driver) -> Clones:
    """The driver, as one that makes clones. :raises UnsupportedError: it cannot."""
    if not isinstance(driver, Clones):
        raise UnsupportedError(f"driver {driver.name} makes no volumes out of snapshots")
    return driver


def back_roller(driver: Driver) -> RollsBack:
    """The driver, as one whose volumes go back to snapshots. :raises UnsupportedError: they cannot."""
    if not isinstance(driver, RollsBack):
        raise UnsupportedError(f"driver {driver.name} takes no volumes back to their snapshots")
    return driver


def group_taker(driver: Driver) -> TakesGroups:
    """The driver, as one that takes snapshots of several volumes at one moment. :raises UnsupportedError: it cannot."""
    if not isinstance(driver, TakesGroups):
        raise UnsupportedError(f"driver {driver.name} takes no snapshots of several volumes at one moment")
    return driver
