"""What some drivers can do beyond `Driver`: a small Protocol each, which the service looks for when it is asked.

A driver that has the methods has the ability; who lacks them is told of in one line. So a driver that somebody wrote
for an older Drystone goes on working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from drystone.volumes.driver import Preview, Snapshot, Volume

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
