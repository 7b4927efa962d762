"""One holder of a file at a time, over processes: flock(2)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from drystone.base.errors import BusyError
from drystone.base.files import write_all


class FileLock:
    """The lock on `path`, taken by `with` or `take`; the kernel lets go of it when the process ends, however it ends.

    The file holds the holder's process id, for people, and stays after the release: removing it would let two
    processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self, what: str) -> None:
        """Lock now or not at all.

        :param what: what is locked, for the message.
        :raises BusyError: another process (or another FileLock of this one) has it; fact `pid` when it is known.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            by = f" by process {holder}" if holder.isdigit() else ""
            raise BusyError(f"{what} is in use{by}", pid=int(holder) if holder.isdigit() else None) from error
        except BaseException:
            os.close(handle)
            raise
        os.ftruncate(handle, 0)
        write_all(handle, f"{os.getpid()}\n".encode())
        self._handle = handle

    def release(self) -> None:
        """Let go; nothing happens when it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        self.take(str(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@contextlib.contextmanager
def locked_folder(folder: Path, what: str) -> Iterator[None]:
    """Within the block no other process has this lock on a folder, in which nothing is written for it.

    :param what: what is locked, for the message.
    :raises BusyError: somebody has it. :raises OSError: there is no such folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{what} is in use", hint="try again in a moment") from error
        yield
    finally:
        os.close(handle)
