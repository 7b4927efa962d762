"""Durable files: what a function here has returned for is on the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from drystone.base.errors import UsageError


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable: names made, renamed or removed in it (fsync of the folder)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write every byte of `data` to the file descriptor `handle`; a short write is gone on with.

    :raises OSError: the write failed (ENOSPC, EIO).
    """
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def replace_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` at `path`: whoever reads it, also after a power cut, sees all of the old or all of the new.

    Durable when it returns: write, fsync, rename, fsync of the folder.

    :raises OSError: the old file is untouched and no other file is left. :raises UsageError: as `check_replaceable`.
    """
    with replacing(path, mode=mode) as file:
        write_all(file.fileno(), data)


def check_replaceable(path: Path) -> None:
    """:raises UsageError: what is at `path` is no plain file: a file in the place of /dev/null harms everybody."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no plain file, and one would be put in its place", hint="name a file")


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o600, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file, unbuffered, that is at `path` when the block under it has ended: whoever reads `path` sees all of
    the old or all of the new. When the block fails, the old file is untouched and no other file is left.

    A write to it may take less than it is given; see write_all.

    :param mode: permissions, which the process's umask narrows. :param durable: it is on the disk when the block has
        ended, as replace_file says; else a power cut may take it away.
    :raises OSError: it cannot be made, or put at `path`. :raises UsageError: as `check_replaceable`.
    """
    check_replaceable(path)
    passing = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        handle = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            yield file
            if durable:
                os.fsync(handle)
        passing.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            passing.unlink()
        raise
    if durable:
        sync_folder(path.parent)
