"""Copying file content and keeping its holes: what was never written stays unwritten."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from drystone.base.files import write_all

_PIECE = 1 << 20


def iter_data(handle: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """(offset, length) in bytes of what may be other than zero in [begin, end) of a file (SEEK_DATA, SEEK_HOLE).

    A file system that knows no holes gives the whole range.
    """
    position = begin
    while position < end:
        try:
            data = os.lseek(handle, position, os.SEEK_DATA)
            hole = os.lseek(handle, data, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno == errno.EINVAL:
                yield position, end - position
                return
            raise
        if data >= end:
            return
        yield data, min(hole, end) - data
        position = hole


def copy_range(source: int, offset: int, target: int, place: int, length: int) -> None:
    """Copy `length` bytes from `offset` of one file to `place` of another; holes become holes.

    Where the source ends early the target holds zeros. The target is at least `place + length` long afterwards.
    """
    for begin, size in iter_data(source, offset, offset + length):
        os.lseek(target, place + begin - offset, os.SEEK_SET)
        done = 0
        while done < size:
            piece = os.pread(source, min(_PIECE, size - done), begin + done)
            if not piece:
                break
            write_all(target, piece)
            done += len(piece)
    if os.fstat(target).st_size < place + length:
        os.ftruncate(target, place + length)
