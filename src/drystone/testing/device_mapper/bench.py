"""What the checks stand on: a device-mapper, disks, and hands to open, write and wipe them."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, Self

from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import DeviceInfo, DeviceMapper, DeviceNumber, Ref, TableLine
from drystone.kernel.dm.statuses import ThinPoolStatus

DISK_SECTORS = 1 << 16
"""The size of each disk that the checks want: 32 MiB."""
DISKS = 4
"""How many they want."""
BLOCK = 128
"""Sectors of a block of the checks' thin pools."""


class Hands(Protocol):
    """What device-mapper itself cannot do to a device. Numbers are of disks and of mapped devices alike."""

    def hold(self, number: DeviceNumber, *, exclusive: bool = False) -> AbstractContextManager[None]:
        """Open a device for a while; exclusively, as a mount does."""

    def write(self, number: DeviceNumber, sector: int, length: int) -> None:
        """Write something to sectors, and wait until it has arrived. KernelError when it fails."""

    def wipe(self, number: DeviceNumber) -> None:
        """Zeros on the first MiB of a disk."""


@dataclass
class Bench:
    """A device-mapper under test. `with bench:` wipes the disks first and removes every device of ours after.

    :ivar disks: DISKS numbers of disks of DISK_SECTORS sectors each.
    :ivar prefix: how the names of devices that are made here begin.
    """

    dm: DeviceMapper
    disks: list[DeviceNumber]
    hands: Hands
    prefix: str = "bench-"
    _names: int = field(default=0)

    def __enter__(self) -> Self:
        self.cleanup()
        for disk in self.disks:
            self.hands.wipe(disk)
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def name(self) -> str:
        """A name that no device has."""
        self._names += 1
        return f"{self.prefix}{self._names}"

    def create(self, uuid: str = "") -> str:
        """The name of a new device without a table."""
        return self.dm.create(self.name(), uuid and self.prefix + uuid).name

    def make(self, *lines: TableLine) -> DeviceInfo:
        """A new device with a live table."""
        name = self.create()
        self.dm.load(name, lines)
        return self.dm.resume(name)

    def linear(self, disk: int = 0, length: int = 2048, offset: int = 0) -> TableLine:
        """A line that maps sectors of one of the disks."""
        return TableLine(0, length, "linear", f"{self.disks[disk]} {offset}")

    def pool_line(self, length: int = 64 * BLOCK, *, low_water: int = 0, features: str = "") -> TableLine:
        """A thin pool with its metadata on disk 0 and its data on disk 1."""
        params = f"{self.disks[0]} {self.disks[1]} {BLOCK} {low_water} {features or '0'}"
        return TableLine(0, length, "thin-pool", params)

    def thin_line(self, pool: DeviceInfo, dev: int, length: int = 32 * BLOCK) -> TableLine:
        """A thin device of a pool."""
        return TableLine(0, length, "thin", f"{pool.number} {dev}")

    def thin(self, pool: DeviceInfo, dev: int, length: int = 32 * BLOCK) -> DeviceInfo:
        """A new thin device, created in the pool and live."""
        self.dm.message(pool.name, f"create_thin {dev}")
        return self.make(self.thin_line(pool, dev, length))

    def pool_status(self, pool: DeviceInfo) -> ThinPoolStatus:
        """The typed status of a pool that works."""
        status = ThinPoolStatus.parse(self.dm.status(pool.name)[0].text)
        assert isinstance(status, ThinPoolStatus), status
        return status

    def text(self, ref: Ref) -> str:
        """The status of the first target."""
        return self.dm.status(ref)[0].text

    def refused(self, number: int, call: Callable[..., object], *args: object, **options: object) -> KernelError:
        """The KernelError that the call with these arguments ends with; its errno must be `number`."""
        try:
            answer = call(*args, **options)
        except KernelError as error:
            if error.errno == number:
                return error
            raise AssertionError(f"{errno.errorcode[number]} was due, not this: {error}") from error
        raise AssertionError(f"{errno.errorcode[number]} was due, the answer is {answer!r}")

    def soon(self, call: Callable[[], bool]) -> None:
        """Wait until `call` is true, for what a kernel does in the background; AssertionError after two seconds."""
        for _ in range(40):
            if call():
                return
            time.sleep(0.05)
        raise AssertionError("it did not happen within two seconds")

    def is_there(self, name: str) -> bool:
        """Whether a device has that name."""
        return name in {each.name for each in self.dm.list_devices()}

    def cleanup(self) -> None:
        """Remove every device whose name begins with the prefix, users before what they use."""
        while names := [each.name for each in self.dm.list_devices() if each.name.startswith(self.prefix)]:
            removed = 0
            for name in names:
                self.dm.clear(name)
                try:
                    self.dm.remove(name)
                    removed += 1
                except KernelError as error:
                    if error.errno != errno.EBUSY:
                        raise
            assert removed, f"devices that cannot be removed: {names}"
