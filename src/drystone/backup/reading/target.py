"""Where a restore writes: a device that is there, or a new file that has its name only when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from drystone.base.errors import (
    ExhaustedError,
    ExistsError,
    KernelError,
    MismatchError,
    NotFoundError,
    UsageError,
)
from drystone.base.files import sync_folder
from drystone.kernel.blockdev import BlockDevice, open_device


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
        if device.size < self._size or (device.size > self._size and not self._larger):
            device.close()
            hint = "--larger lets a larger device do" if device.size > self._size else "name one of the same size"
            raise MismatchError(f"{self._path} has {device.size} bytes and the backup {self._size}", hint=hint)
        self._device = device
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        device, self._device = self._device, None
        assert device is not None
        try:
            if kind is None:
                device.flush()
        finally:
            device.close()

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """pwrite."""
        assert self._device is not None
        with _told(self._path):
            self._device.pwrite(offset, data)

    def zero(self, offset: int, length: int) -> None:
        """Zeroed by the device, unless it was zero before."""
        assert self._device is not None
        if not self._zeroed:
            self._device.zero_out(offset, length)


class FileTarget:
    """A new sparse file. It is written under a passing name beside it, and takes its own when it is whole and durable.

    :param overwrite: a file that is there is replaced.

    :raises ExistsError: a file is there, and `overwrite` was not said. :raises KernelError: the folder refuses.
    """

    def __init__(self, path: str, size: int, *, overwrite: bool = False) -> None:
        self._path = Path(path)
        self._size = size
        self._overwrite = overwrite
        self._passing = self._path.with_name(f".{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        self._device: BlockDevice | None = None

    def __enter__(self) -> Self:
        if not self._overwrite and os.path.lexists(self._path):
            raise self._exists()
        try:
            handle = os.open(self._passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.ftruncate(handle, self._size)
            finally:
                os.close(handle)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no folder {self._path.parent}") from error
        except OSError as error:
            self._passing.unlink(missing_ok=True)
            raise KernelError("create", error.errno or 0, device=str(self._path)) from error
        self._device = open_device(str(self._passing), write=True, direct=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        device, self._device = self._device, None
        assert device is not None
        try:
            with contextlib.closing(device), _told(self._path):
                if kind is None:
                    device.flush()
            if kind is None:
                self._give_name()
        finally:
            self._passing.unlink(missing_ok=True)

    def _give_name(self) -> None:
        try:
            if self._overwrite:
                self._passing.replace(self._path)
            else:
                os.link(self._passing, self._path)
            sync_folder(self._path.parent)
        except FileExistsError as error:
            raise self._exists() from error
        except OSError as error:
            raise KernelError("rename", error.errno or 0, device=str(self._path)) from error

    def _exists(self) -> ExistsError:
        return ExistsError(f"{self._path} exists", hint="name another file, or replace this one with --overwrite")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """pwrite."""
        assert self._device is not None
        with _told(self._path):
            self._device.pwrite(offset, data)

    def zero(self, offset: int, length: int) -> None:
        """A new file is zeros: the hole stays a hole."""


def choose_target(
    path: str, size: int, *, zeroed: bool = False, larger: bool = False, overwrite: bool = False
) -> DeviceTarget | FileTarget:
    """The target of an image of `size` bytes at `path`, not entered yet: a device that is there, or a file.

    :raises UsageError: there is something else, such as a folder.
    :raises NotFoundError: no such device; no file is made below /dev, where it would fill the memory.
    """
    real = Path(path).resolve()
    try:
        mode = real.stat().st_mode
    except OSError as error:
        parents = real.parents
        if Path("/dev") in parents and Path("/dev/shm") not in parents:  # noqa: S108  # the one place for files there
            raise NotFoundError(f"there is no device {path}", hint="no file is made below /dev") from error
        return FileTarget(path, size, overwrite=overwrite)
    if stat.S_ISBLK(mode):
        return DeviceTarget(path, size, zeroed=zeroed, larger=larger)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is neither a block device nor a plain file")
    # What a symbolic link leads to is replaced, not the link.
    return FileTarget(str(real) if overwrite else path, size, overwrite=overwrite)


@contextlib.contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """:raises ExhaustedError: no room is left."""
    try:
        yield
    except KernelError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ExhaustedError(f"no space is left to restore to {path}", hint="make room, then restore again") from error
