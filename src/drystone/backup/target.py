"""Where a restore writes: a device that is there, or a new file that has its name only when it is whole."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from drystone.base.errors import ExistsError, KernelError, MismatchError, NotFoundError
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
            hint = "say that a larger one will do" if device.size > self._size else ""
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
            with contextlib.closing(device):
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
        return ExistsError(f"{self._path} exists", hint="name another file, or say that it may be overwritten")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """pwrite."""
        assert self._device is not None
        self._device.pwrite(offset, data)

    def zero(self, offset: int, length: int) -> None:
        """A new file is zeros: the hole stays a hole."""


def is_device(path: str) -> bool:
    """Whether there is a block device at `path`."""
    try:
        return stat.S_ISBLK(Path(path).stat().st_mode)
    except OSError:
        return False
