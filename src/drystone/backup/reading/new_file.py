"""A file that has its name only when it is whole: it is written under a passing name beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from drystone.base.errors import ExistsError, KernelError, NotFoundError, UsageError
from drystone.base.files import sync_folder
from drystone.kernel.naming import give_free_name


def find_place(path: str, *, overwrite: bool) -> str:
    """Where the new file is to be made that `path` names: what a symbolic link leads to is replaced, not the link.

    :raises UsageError: it names no file, or something else is there: a device's node would be replaced by a file, with
        all that others write to it. :raises NotFoundError: there is nothing, below /dev, where no file is made: it
        would fill the memory.
    """
    if not path:
        raise UsageError("the file to write has an empty name")
    real = Path(os.path.realpath(path))  # which takes a link that leads to itself, and Path.resolve does not
    try:
        mode = real.stat().st_mode
    except OSError as error:
        parents = real.parents
        if Path("/dev") in parents and Path("/dev/shm") not in parents:  # noqa: S108  # the one place for files there
            raise NotFoundError(f"there is no device {path}", hint="no file is made below /dev") from error
        if path.endswith("/"):
            raise UsageError(f"{path} names a folder, and a file is to be made", hint="name the file") from error
        return path
    if stat.S_ISBLK(mode):
        raise UsageError(f"{path} is a block device, and a file is to be made", hint="`restore` writes to devices")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is neither a block device nor a plain file")
    return str(real) if overwrite else path


class NewFile:
    """Within `with` it is at `passing`; at the end without an error it gets its own name, durably, else it is gone.

    Whoever writes it makes its bytes durable before.

    :param overwrite: a file that is there is replaced. :param size: bytes of it from the beginning, all zeros.

    :raises ExistsError: a file is there, and `overwrite` was not said. :raises NotFoundError: there is no folder.
    :raises KernelError: the folder refuses.
    """

    def __init__(self, path: str, *, overwrite: bool = False, size: int = 0) -> None:
        self._path = Path(path)
        self._overwrite = overwrite
        self._size = size
        self.passing = self._path.with_name(f".{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")

    def __enter__(self) -> Self:
        if not self._overwrite and os.path.lexists(self._path):
            raise self._exists()
        try:
            handle = os.open(self.passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(handle, self._size)
            finally:
                os.close(handle)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"there is no folder {self._path.parent}") from error
        except OSError as error:
            self.passing.unlink(missing_ok=True)
            raise KernelError("create", error.errno or 0, device=str(self._path)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._give_name()
        finally:
            self.passing.unlink(missing_ok=True)

    def _give_name(self) -> None:
        try:
            if self._overwrite:
                self.passing.replace(self._path)
            else:
                give_free_name(self.passing, self._path)
            sync_folder(self._path.parent)
        except FileExistsError as error:
            raise self._exists() from error
        except OSError as error:
            raise KernelError("rename", error.errno or 0, device=str(self._path)) from error

    def _exists(self) -> ExistsError:
        return ExistsError(f"{self._path} exists", hint="name another file, or replace this one with --overwrite")
