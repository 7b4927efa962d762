"""Where a backup reads from: a device or file read whole. Thin snapshots are in thin_source.py."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from drystone.backup.holes import find_data
from drystone.backup.ranges import Ranges, whole
from drystone.base.errors import KernelError, MismatchError, UsageError
from drystone.kernel.blockdev import BlockDevice, open_device
from drystone.kernel.mounts import mounts_of
from drystone.kernel.sysfs import read_limits, read_sequence


class Source(Protocol):
    """Something that can be backed up. It must not change while a backup reads it."""

    @property
    def size(self) -> int:
        """Bytes of the whole image."""

    @property
    def relative(self) -> bool:
        """What lies outside `extents`: the same bytes as in the base (True), or zeros (False)."""

    def extents(self) -> Ranges:
        """The byte ranges that must be read. They may hold zeros, and what has not changed."""

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` from byte `offset` on; the range is inside the image. Called by several threads."""


@runtime_checkable
class SourceInUse(Source, Protocol):
    """A source of changes that may be written to while it is read, and knows of it."""

    def written_since(self) -> Ranges:
        """What may have been written since `extents` was found, all writes that a read can have seen among them.

        Asked once everything was read, if at all.
        """


@runtime_checkable
class Identified(Source, Protocol):
    """A source that can tell whether it is the very one, with the very bytes, that an earlier run has read."""

    @property
    def identity(self) -> str:
        """What is the same when the bytes are; "" when that is not known."""


class DeviceReader:
    """What sources that read one device or file have in common: it is open within `with`."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._device: BlockDevice | None = None

    def __enter__(self) -> Self:
        self._device = open_device(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None

    def _opened(self) -> BlockDevice:
        if self._device is None:
            raise UsageError(f"{self.path} is not open", hint="use the source in a with statement")
        return self._device

    @property
    def size(self) -> int:
        """Bytes of the device or file."""
        return self._opened().size

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` from the device. :raises MismatchError: it has become shorter."""
        device = self._opened()
        try:
            device.read_into(offset, buffer)
        except KernelError as error:
            size = os.lseek(device.handle, 0, os.SEEK_END)
            if size >= device.size:
                raise
            raise MismatchError(
                f"{self.path} has become shorter while it was read: {size} bytes, {device.size} before",
                hint="back it up while nobody changes it, or a snapshot of it",
            ) from error


class DeviceSource(DeviceReader):
    """A block device or an image file, all of it: whatever is the same as in the base is found by its hash.

    The device is opened by `with`, and closed at its end.

    :raises NotFoundError, BusyError, KernelError: as `open_device` does, at `with`.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._begun = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self._begun = self._look()
        return self

    @property
    def relative(self) -> bool:
        """No: all of it is told."""
        return False

    def extents(self) -> Ranges:
        """A device whole; a plain file without its holes."""
        device = self._opened()
        return find_data(device.handle, device.size) if device.number is None else whole(device.size)

    @property
    def identity(self) -> str:
        """A plain file's inode, size and times; of a device that cannot be written to, its number since boot."""
        device = self._opened()
        if device.number is None:
            found = os.fstat(device.handle)
            facts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            return f"file:{':'.join(map(str, facts))}"
        sequence = read_sequence(device.number)
        if not sequence or not read_limits(device.number).read_only:
            return ""
        return f"device:{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{sequence}:{device.size}"

    def warnings(self) -> list[str]:
        """What makes the image that is read doubtful, a line each: ask when all is read.

        A device that is mounted for writing changes under the reader, and its newest data is not on it yet. A plain
        file that was written to shows it by its times.
        """
        device = self._opened()
        found = []
        if device.number is not None:
            mounts = [each for each in mounts_of(device.number) if "rw" in each.super_options]
            if mounts:
                found.append(
                    f"{self.path} is mounted for writing at {mounts[0].target}: the backup may hold a state that never "
                    "was; back up a snapshot"
                )
        if os.lseek(device.handle, 0, os.SEEK_END) != device.size or self._look() != self._begun:
            found.append(f"{self.path} was changed while it was read: the backup may hold a state that never was")
        return found

    def _look(self) -> int:
        """When a plain file was last written to (ns); a device does not tell: 0."""
        device = self._opened()
        return os.fstat(device.handle).st_mtime_ns if device.number is None else 0
