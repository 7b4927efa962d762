"""Clone devices: put over a device that is to become a copy of another one, moved to another source, and ended.

A clone keeps which regions it has in core, and reads that from its metadata when a table is built. So the old table is
suspended, which writes it out, before a new one is loaded over the same metadata. Where a kernel is slow to answer, the
source's server must live in another thread than the one that waits: suspending waits for what is on its way.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.base.errors import DamagedError, ExistsError, UsageError
from drystone.base.sizes import SECTOR
from drystone.dvm.dmactivate import activate
from drystone.dvm.instructions import Create, Load, Resume, Suspend
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Needed, Program
from drystone.dvm.state import Line, State, observe
from drystone.dvm.unwinding import Writer
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber, TargetStatus
from drystone.kernel.dm.clone import Clone, CloneStatus
from drystone.kernel.dm.targets import Linear

UUID_PREFIX = "DRYSTONE-CLONE-"
"""What the dm UUID of a clone that we made begins with."""

THRESHOLD, BATCH = 16, 4
"""Regions that are copied at a time, and at once: the kernel's own choice is one."""

SMALLEST_REGION, LARGEST_REGION = 8, 1 << 21
"""Sectors."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A clone. `size` and `region` are bytes, the devices are numbers; `tag` ends its dm UUID.

    :raises UsageError: a region that cannot be.
    """

    name: str
    tag: str
    metadata: DeviceNumber
    destination: DeviceNumber
    source: DeviceNumber
    size: int
    region: int

    def __post_init__(self) -> None:
        sectors = self.region // SECTOR
        if not SMALLEST_REGION <= sectors <= LARGEST_REGION or sectors & (sectors - 1) or self.region % SECTOR:
            raise UsageError(f"regions of {self.region} bytes: a power of two from 4 KiB to 1 GiB is wanted")

    @property
    def uuid(self) -> str:
        """The dm UUID."""
        return UUID_PREFIX + self.tag

    @property
    def line(self) -> Line:
        """The table."""
        metadata, destination, source = str(self.metadata), str(self.destination), str(self.source)
        target = Clone(metadata, destination, source, self.region // SECTOR, threshold=THRESHOLD, batch=BATCH)
        return Line(0, self.size // SECTOR, Clone.kind, target.to_params())


def metadata_size(size: int, region: int) -> int:
    """Bytes that the metadata of a clone may need: two bitmaps while one is rewritten, and what is around them."""
    return (8 << 20) + -(-size // region) // 2


def creation(wanted: Wanted) -> Program:
    """The program that makes the clone, on metadata that is zero, or on its own of before.

    What was cut off before it had a table must be removed first: see `find_remnant`.
    """
    writer = Writer()
    create = Create(wanted.name, wanted.uuid)
    writer.do(create, undo=inverse(create) or ())
    writer.do(Load(wanted.name, (wanted.line,)), Resume(wanted.name))
    return Program(tuple(writer.finish()))


def continuation(wanted: Wanted) -> Program:
    """The program that gives a clone that is there another source with the same bytes."""
    return _swap(wanted.name, wanted.uuid, wanted.line)


def completion(wanted: Wanted) -> Program:
    """The program that leaves the destination alone under the clone's name. All regions must be there."""
    line = Line(0, wanted.size // SECTOR, Linear.kind, Linear(str(wanted.destination)).to_params())
    return _swap(wanted.name, wanted.uuid, line)


def removal(dm: DeviceMapper, name: str) -> Program:
    """The program that removes the device. :raises KernelError: there is none."""
    number = dm.info(name).number
    return activate(observe(dm, lambda entry: entry.number == number), State())


def find_remnant(dm: DeviceMapper, name: str, uuid: str) -> Program | None:
    """The program that removes what a cut-off creation has left: our device, without a table. None: there is none."""
    if find_clone(dm, name, uuid) is None and name in {each.name for each in dm.list_devices()}:
        return removal(dm, name)
    return None


def find_clone(dm: DeviceMapper, name: str, uuid: str) -> Clone | Linear | None:
    """The table of the device of that name; None when there is none, or ours was cut off before it had a table.

    :raises ExistsError: it is somebody else's.
    """
    if name not in {each.name for each in dm.list_devices()}:
        return None
    info = dm.info(name)
    table = dm.table(name)
    if info.uuid == uuid and not table:
        return None
    if info.uuid == uuid and len(table) == 1:
        if table[0].target == Clone.kind:
            return Clone.parse(table[0].params)
        if table[0].target == Linear.kind:
            return Linear.parse(table[0].params)
    raise ExistsError(f"there is another device {name}", hint="choose another name", device=name)


def read_status(dm: DeviceMapper, name: str) -> CloneStatus:
    """How far a clone is. :raises DamagedError: its metadata has failed."""
    found: list[TargetStatus] = dm.status(name)
    status = CloneStatus.parse(found[0].text)
    if status is None or status.mode != "rw":
        raise DamagedError(f"the metadata of {name} has failed", hint="look at the kernel's log (dmesg)", device=name)
    return status


def _swap(name: str, uuid: str, line: Line) -> Program:
    """Suspend, load, resume. When the load fails, the old table goes on."""
    writer = Writer()
    suspend = Suspend(name, lock_fs=False)
    writer.do(suspend, undo=inverse(suspend) or ())
    writer.do(Load(name, (line,)))
    writer.do(Resume(name))
    return Program(tuple(writer.finish()), (Needed(name, uuid),))
