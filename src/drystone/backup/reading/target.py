"""Where a restore writes: a device that is there, or a new file that has its name only when it is whole."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from drystone.backup.reading.new_file import NewFile, find_place
from drystone.base.errors import (
    DrystoneError,
    ExhaustedError,
    KernelError,
    MismatchError,
    UnsupportedError,
)
from drystone.kernel.blockdev import BlockDevice, open_device
from drystone.kernel.identity import refuse_loops


class Target(Protocol):
    """Something to restore to, entered by `with`: what was written is durable when it ends without an error."""

    def __enter__(self) -> Self:
        """Open or make it, and see that the image fits."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush it; after an error, undo what can be undone."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write plain bytes. Called by several threads."""

    def zero(self, offset: int, length: int) -> None:
        """There are zeros in the image: see that there are in the target."""


class DeviceTarget:
    """A block device. After an error it holds a part of the image.

    :param zeroed: it reads as zeros already (a fresh thin volume): holes are left alone.
    :param larger: it may have more bytes than the image; they are left alone.

    :raises MismatchError: another size. :raises BusyError: it is in use.
    """

    def __init__(self, path: str, size: int, *, zeroed: bool = False, larger: bool = False) -> None:
        self._path = path
        self._size = size
        self._zeroed = zeroed
        self._larger = larger
        self._device: BlockDevice | None = None

    def __enter__(self) -> Self:
        device = open_device(self._path, write=True, exclusive=True)
        try:
            if device.number is None:
                refuse_loops(self._path)
            check_size(self._path, device.size, self._size, larger=self._larger)
        except DrystoneError:
            device.close()
            raise
        self._device = device
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        device, self._device = self._device, None
        assert device is not None
        with contextlib.closing(device):
            if kind is None:
                device.flush()

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """pwrite."""
        assert self._device is not None
        with told(self._path):
            self._device.pwrite(offset, data)

    def zero(self, offset: int, length: int) -> None:
        """Zeroed by the device, unless it was zero before."""
        assert self._device is not None
        if not self._zeroed:
            self._device.zero_out(offset, length)


class StandingTarget(DeviceTarget):
    """A device or a plain file whose bytes are compared before they are written: what is right already stays.

    After an error it holds a part of the image, and another restore goes on from there.

    :param larger: it may have more bytes than the image; they are left alone.

    :raises MismatchError: another size. :raises BusyError: it is in use. :raises NotFoundError: there is none.
    """

    def __init__(self, path: str, size: int, *, larger: bool = False) -> None:
        super().__init__(path, size, larger=larger)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer`. Called by several threads."""
        assert self._device is not None
        self._device.read_into(offset, buffer)

    def zero(self, offset: int, length: int) -> None:
        """Zeroed by the device; in a file it becomes a hole."""
        assert self._device is not None
        if self._device.number is None:
            with contextlib.suppress(UnsupportedError):
                self._device.discard(offset, length)
                return
        super().zero(offset, length)


class FileTarget:
    """A new sparse file. It is written under a passing name beside it, and takes its own when it is whole and durable.

    :param overwrite: a file that is there is replaced.

    :raises ExistsError: a file is there, and `overwrite` was not said. :raises KernelError: the folder refuses.
    """

    def __init__(self, path: str, size: int, *, overwrite: bool = False) -> None:
        self._path = path
        self._file = NewFile(path, overwrite=overwrite, size=size)
        self._device: BlockDevice | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._file)
            self._device = open_device(str(self._file.passing), write=True)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        device, self._device = self._device, None
        assert device is not None
        try:
            with contextlib.closing(device), told(self._path):
                if kind is None:
                    device.flush()
        except BaseException as failure:
            self._file.__exit__(type(failure), failure, None)
            raise
        self._file.__exit__(kind, error, trace)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """pwrite."""
        assert self._device is not None
        with told(self._path):
            self._device.pwrite(offset, data)

    def zero(self, offset: int, length: int) -> None:
        """A new file is zeros: the hole stays a hole."""


def choose_target(
    path: str, size: int, *, zeroed: bool = False, larger: bool = False, overwrite: bool = False
) -> DeviceTarget | FileTarget:
    """The target of an image of `size` bytes at `path`, not entered yet: a device that is there, or a file.

    :raises: as `find_place` does.
    """
    if Path(path).is_block_device():
        return DeviceTarget(path, size, zeroed=zeroed, larger=larger)
    return FileTarget(find_place(path, overwrite=overwrite), size, overwrite=overwrite)


def check_size(path: str, found: int, wanted: int, *, larger: bool) -> None:
    """:raises MismatchError: the device of `found` bytes at `path` does not fit an image of `wanted`."""
    if found < wanted or (found > wanted and not larger):
        hint = "--larger lets a larger device do" if found > wanted else "name one of the same size"
        raise MismatchError(f"{path} has {found} bytes and the backup {wanted}", hint=hint)


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """:raises ExhaustedError: no room is left."""
    try:
        yield
    except KernelError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ExhaustedError(f"no space is left for {path}", hint="make room, then try again") from error
