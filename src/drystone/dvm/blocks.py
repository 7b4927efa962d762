"""What `write`, `flush` and `commit` go to: block devices and plain files, behind a Protocol that tests can fake."""

from __future__ import annotations

from typing import Protocol

from drystone.kernel.dm.abc import DeviceNumber


class Block(Protocol):
    """An open device. Offsets and lengths are bytes. Failures are KernelError."""

    @property
    def size(self) -> int:
        """Bytes."""

    def pwrite(self, offset: int, data: bytes) -> None:
        """Write all of `data`."""

    def flush(self) -> None:
        """What was written is durable when this returns."""

    def close(self) -> None:
        """Close it."""


class BlockDevices(Protocol):
    """Finds and opens devices by path."""

    def open(self, path: str) -> Block:
        """Open for writing. NotFoundError and KernelError as `kernel.blockdev.open_device`."""

    def number(self, path: str) -> DeviceNumber:
        """major:minor of the block device at `path`. NotFoundError: there is none."""


class KernelBlocks:
    """The machine's own, by `kernel.blockdev` (imported when it is used: a program seldom writes)."""

    def open(self, path: str) -> Block:
        from drystone.kernel.blockdev import open_device

        return open_device(path, write=True)

    def number(self, path: str) -> DeviceNumber:
        from drystone.kernel.blockdev import device_number

        return device_number(path)
