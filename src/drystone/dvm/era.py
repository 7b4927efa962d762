"""Era devices as they are in the kernel: found, asked, moved to a new era, removed.

An era device is a device-mapper device whose whole table is one era target: its metadata device, its origin (any block
device: a disk, a linear or a thin device), and the size of a block. What it passes on to the origin is not changed, so
removing it gives the origin back as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.base.errors import BusyError, UnavailableError, UsageError
from drystone.base.sizes import SECTOR
from drystone.dvm.dmactivate import activate
from drystone.dvm.instructions import Message, Resume, Suspend
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Needed, Program
from drystone.dvm.state import State, observe
from drystone.dvm.unwinding import Writer
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber, Ref
from drystone.kernel.dm.statuses import EraStatus
from drystone.kernel.dm.targets import Era

UUID_PREFIX = "DRYSTONE-ERA-"
"""What the dm UUID of an era device that we made begins with; the tag of its metadata follows."""


@dataclass(frozen=True, slots=True)
class EraDevice:
    """An active era device.

    :ivar size: bytes. :ivar block_size: bytes of a block, the unit of what is recorded.
    :ivar metadata, origin: the devices that it stands on.
    """

    name: str
    uuid: str
    number: DeviceNumber
    size: int
    block_size: int
    metadata: DeviceNumber
    origin: DeviceNumber
    suspended: bool
    open_count: int

    @property
    def blocks(self) -> int:
        """Blocks of the device; the last one may be shorter."""
        return -(-self.size // self.block_size)


def find_era_device(dm: DeviceMapper, ref: Ref) -> EraDevice:
    """The era device `ref`.

    :raises UsageError: it is something else. :raises KernelError: there is none (ENXIO).
    """
    info = dm.info(ref)
    table = dm.table(info.number)
    if len(table) != 1 or table[0].target != Era.kind:
        is_ = f"a {table[0].target} device" if len(table) == 1 else f"of {len(table)} targets"
        raise UsageError(f"{info.name} is no era device: it is {is_}", device=info.name)
    target = Era.parse(table[0].params)
    return EraDevice(
        name=info.name,
        uuid=info.uuid,
        number=info.number,
        size=table[0].length * SECTOR,
        block_size=target.block * SECTOR,
        metadata=DeviceNumber.parse(target.metadata),
        origin=DeviceNumber.parse(target.origin),
        suspended=info.suspended,
        open_count=info.open_count,
    )


def read_status(dm: DeviceMapper, device: EraDevice) -> EraStatus:
    """What the era target says.

    :raises BusyError: it is suspended and gives no answer. :raises UnavailableError: it has failed.
    """
    if device.suspended:
        raise BusyError(f"{device.name} is suspended and gives no answer", hint=f"drystone dm resume {device.name}")
    status = EraStatus.parse(dm.status(device.number)[0].text)
    if not isinstance(status, EraStatus):
        raise UnavailableError(f"era device {device.name} has failed", hint="look at the kernel's log (dmesg)")
    return status


def checkpoint(device: EraDevice, *, drain: bool = False) -> Program:
    """The program that begins a new era.

    :param drain: the device is suspended and resumed after that (which begins one more), so that every write that was
        recorded in an earlier era is finished.
    """
    writer = Writer()
    writer.do(Message(device.name, "checkpoint"))
    if drain:
        suspend = Suspend(device.name, lock_fs=False)
        writer.seal()
        writer.do(suspend, undo=inverse(suspend) or ())
        writer.do(Resume(device.name))
    return Program(tuple(writer.finish()), (Needed(device.name, device.uuid),))


def removal(dm: DeviceMapper, device: EraDevice) -> Program:
    """The program that removes the device. Its metadata stays as it is, with all eras.

    :raises BusyError: somebody has it open.
    """
    if device.open_count:
        raise BusyError(
            f"{device.name} is in use by {device.open_count}",
            hint="unmount it, or remove what is built upon it",
            device=device.name,
        )
    return activate(observe(dm, lambda entry: entry.number == device.number), State())
