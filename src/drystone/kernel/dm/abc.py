"""What a device-mapper can be asked, and the values it answers with.

Two implementations answer it: the kernel's own (`device_mapper.py`, by ioctl) and a simulated one
(`simulated/`). Both pass `drystone.testing.device_mapper`, the conformance check.

Facts: Linux `include/uapi/linux/dm-ioctl.h` and `drivers/md/dm-ioctl.c`. Lengths and offsets are in sectors of
512 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from drystone.kernel.dm.number import DeviceNumber

__all__ = [
    "DeviceEntry",
    "DeviceInfo",
    "DeviceMapper",
    "DeviceNumber",
    "Ref",
    "TableLine",
    "TargetStatus",
    "TargetVersion",
    "Uuid",
]


class Uuid(msgspec.Struct, frozen=True):
    """A reference to a device by its dm UUID (at most 128 bytes, any text)."""

    text: str


Ref = str | Uuid | DeviceNumber
"""How a device is named to device-mapper: by name, by dm UUID, or by number."""


class TableLine(msgspec.Struct, frozen=True):
    """One target of a table: sectors [start, start + length) of the device.

    `params` is the target's own text; other devices in it are written major:minor.
    """

    start: int
    length: int
    target: str
    params: str = ""


class TargetStatus(msgspec.Struct, frozen=True):
    """The status of one target: its extent in sectors, its type, and the text it reports."""

    start: int
    length: int
    target: str
    text: str


class DeviceInfo(msgspec.Struct, frozen=True):
    """What the kernel says of a device.

    :ivar open_count: how many holders it has (mounts, other devices, open files).
    :ivar target_count: targets in the live table.
    :ivar event_nr: how many events have happened; `wait` takes it.
    """

    name: str
    uuid: str
    number: DeviceNumber
    open_count: int
    target_count: int
    event_nr: int
    suspended: bool
    read_only: bool
    live_table: bool
    inactive_table: bool
    deferred_remove: bool = False


class DeviceEntry(msgspec.Struct, frozen=True):
    """A line of the list of all devices."""

    name: str
    number: DeviceNumber
    event_nr: int
    uuid: str


class TargetVersion(msgspec.Struct, frozen=True):
    """A target type that the kernel knows, and its version."""

    name: str
    version: tuple[int, int, int]


class DeviceMapper(Protocol):
    """Every call either did what it says or raised KernelError and changed nothing, but one: see `resume`.

    errno as the kernel gives it: ENXIO no such device (also: that minor number is taken), EBUSY in use (or the name is
    taken), EINVAL a wrong name, table or message, ENODATA and EEXIST a thin device's id, EPERM and EACCES no rights.
    Error facts: operation, device, errno.
    """

    def version(self) -> tuple[int, int, int]:
        """The version of the ioctl interface, such as (4, 47, 0)."""

    def target_versions(self) -> list[TargetVersion]:
        """The target types that are loaded."""

    def list_devices(self) -> list[DeviceEntry]:
        """All devices, in the kernel's order."""

    def create(self, name: str, uuid: str = "", *, minor: int | None = None) -> DeviceInfo:
        """A new device without a table. EBUSY: name or uuid is taken. ENXIO: the minor is."""

    def remove(self, ref: Ref, *, deferred: bool = False) -> None:
        """Remove a device. EBUSY: it is open; with `deferred` it goes when the last holder closes."""

    def rename(self, ref: Ref, name: str) -> None:
        """Give a device another name. EBUSY: it is taken."""

    def set_uuid(self, ref: Ref, uuid: str) -> None:
        """Give a device without one a UUID. EINVAL: it has one."""

    def suspend(self, ref: Ref, *, no_flush: bool = False, lock_fs: bool = True) -> DeviceInfo:
        """Hold all input and output. Unless `no_flush`, what is in flight is finished first.

        `lock_fs` freezes a mounted file system, so that it is consistent. A suspended device stays so.
        """

    def resume(self, ref: Ref) -> DeviceInfo:
        """Swap in the inactive table if there is one, and let input and output go on.

        When the new table does not fit (EINVAL: a device in it is too small, which a first load sees at once and a
        later one here), it is dropped and the device is left suspended with its old table: resume it again.
        """

    def load(self, ref: Ref, table: Sequence[TableLine], *, read_only: bool = False) -> DeviceInfo:
        """Put a table in the inactive slot, replacing one that is there. It takes effect at `resume`."""

    def clear(self, ref: Ref) -> DeviceInfo:
        """Empty the inactive slot."""

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        """The live (or the inactive) table; empty when there is none."""

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        """The status of the live table's targets. `no_flush`: a thin pool does not commit first."""

    def info(self, ref: Ref) -> DeviceInfo:
        """State, counts and number of a device."""

    def look(self, ref: Ref) -> tuple[DeviceInfo, list[TableLine]]:
        """`info` and the live `table` by one call, and so of one moment."""

    def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
        """Send a message to the target at `sector`; its answer, mostly ""."""

    def deps(self, ref: Ref, *, inactive: bool = False) -> list[DeviceNumber]:
        """The devices that a table uses."""

    def wait(self, ref: Ref, event_nr: int) -> DeviceInfo:
        """Block until the device's event counter is past `event_nr`. A signal handler that raises ends the wait."""
