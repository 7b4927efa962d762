"""Durable files: what a function here has returned for is on the disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


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

    :raises OSError: the old file is untouched and no other file is left.
    """
    passing = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        passing.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            passing.unlink()
        raise
    sync_folder(path.parent)
