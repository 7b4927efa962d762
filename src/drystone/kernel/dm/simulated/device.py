"""Mapped devices, their tables, and what a table was built into.

Facts: Linux 6.1 `drivers/md/dm-core.h`, `dm-table.c`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.targets import Target

READ = 1
WRITE = 2
"""How a table opens a device; the two may be joined."""


@dataclass(frozen=True, slots=True)
class Use:
    """A device that a table holds open, and how (READ, WRITE or both)."""

    number: DeviceNumber
    mode: int


@dataclass(frozen=True, slots=True)
class Built:
    """One target of a table, as its constructor left it.

    :ivar key: tells this target from every other that ever was.
    :ivar numbers: the devices of the value's device fields, in the order of the text.
    :ivar instance: the state that it shares or changes, a key of `Machine.instances`; 0 for none.
    """

    key: int
    start: int
    length: int
    value: Target
    numbers: tuple[DeviceNumber, ...] = ()
    instance: int = 0

    @property
    def kind(self) -> str:
        return self.value.kind

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Table:
    """Targets without a gap, and the devices they hold: the one that was opened last comes first."""

    targets: tuple[Built, ...]
    uses: tuple[Use, ...]
    read_only: bool

    @property
    def size(self) -> int:
        """Sectors."""
        return self.targets[-1].end


@dataclass(frozen=True, slots=True)
class Region:
    """What dm-stats counts. :ivar bounds: of its histogram, in nanoseconds when it is `precise`."""

    number: int
    start: int
    length: int
    program: str
    precise: bool = False
    bounds: tuple[int, ...] = ()


@dataclass(slots=True)
class Device:
    """A mapped device.

    :ivar has_disk: a block device of it exists, which is so from its first table on.
    :ivar immutable: the target type that its live table must keep, or "".
    :ivar internal: how often the targets above it (thin-pool) have suspended it.
    :ivar openers: opens from outside (a process); `claims` those among them that are exclusive (a mount).
    """

    minor: int
    name: str
    uuid: str = ""
    live: Table | None = None
    inactive: Table | None = None
    has_disk: bool = False
    immutable: str = ""
    suspended: bool = False
    internal: int = 0
    event_nr: int = 0
    openers: int = 0
    claims: int = 0
    read_only: bool = False
    deferred: bool = False
    regions: tuple[Region, ...] = ()

    @property
    def tables(self) -> list[Table]:
        return [table for table in (self.live, self.inactive) if table is not None]


@dataclass(slots=True)
class Disk:
    """A block device from outside device-mapper.

    :ivar claims: exclusive opens from outside.
    """

    sectors: int
    discards: bool = True
    claims: int = field(default=0)
