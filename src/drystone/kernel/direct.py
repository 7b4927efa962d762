"""Reading and writing past the page cache, by a descriptor of a plain file that is open without O_DIRECT.

A long stream that is used once would drive out of the cache what others need, and filling the cache costs more
processor time than all else that is done with the stream.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator

_BLOCK = 4096
"""Bytes of which direct access is a multiple: no device has larger logical blocks."""
_KEPT = 8 << 20
_OWN = threading.local()


def write_directly(handle: int, data: bytes | bytearray | memoryview) -> int:
    """Write what can be written directly at the place where `handle` is; how many bytes: 0 when the file system, or
    the alignment of address, length or place, does not let it.

    :raises OSError: the write failed (ENOSPC, EIO).
    """
    if len(data) % _BLOCK:
        return 0
    try:
        with _direct(handle):
            return os.write(handle, data)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return 0


def read_directly(handle: int, offset: int, length: int) -> bytes:
    """Bytes from `offset` on: from the page cache what it has, the rest from the disk. No other thread uses `handle`.

    They may be fewer than `length`: the file ends, or the caller may ask for the rest in the usual way. None at all
    where the file system has no direct reads.

    :raises OSError: the read failed (EIO).
    """
    skip = offset % _BLOCK
    wanted = -(-(skip + length) // _BLOCK) * _BLOCK
    view = _room(wanted)[:wanted]
    done = 0
    with contextlib.suppress(OSError):  # EAGAIN: nothing of it is there; what else there is, the direct read tells
        done = os.preadv(handle, [view], offset - skip, os.RWF_NOWAIT) // _BLOCK * _BLOCK
    try:
        with _direct(handle):
            while done < wanted:
                count = os.preadv(handle, [view[done:]], offset - skip + done)
                done += count
                if count == 0 or count % _BLOCK:  # the end of the file
                    break
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return bytes(view[skip : min(skip + length, done)])


@contextlib.contextmanager
def _direct(handle: int) -> Iterator[None]:
    """:raises OSError: EINVAL where the file system cannot."""
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | os.O_DIRECT)
        yield
    finally:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags)


def _room(size: int) -> memoryview:
    """Aligned memory of this thread, of any content, for its next read; kept where it is not large."""
    kept: memoryview | None = getattr(_OWN, "room", None)
    if kept is not None and len(kept) >= size:
        return kept
    room = memoryview(mmap.mmap(-1, size))  # anonymous memory begins with a page
    if size <= _KEPT:
        _OWN.room = room
    return room
