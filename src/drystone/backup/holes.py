"""Where a plain file has data: what lies outside is a hole, which reads as zeros and is not read.

Asked of the file system by SEEK_DATA and SEEK_HOLE (lseek(2)). Some gave wrong answers for data that was in memory
only, so the file is synchronised first. A file system that knows no holes says that all is data, and one that answers
what cannot be is not believed. Block devices give no answer and are not asked: a thin device's holes are in its pool's
metadata (thin_source.py).

Cost: two system calls for each `STEP` of the file that has data at most, however scattered it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator

import numpy as np

from drystone.backup.ranges import Ranges, join_bytes

STEP = 1 << 20
"""Bytes. A range of data ends with a multiple of it: a smaller hole behind it is read as well."""

Seek = Callable[[int, int, int], int]
"""os.lseek."""


def find_data(handle: int, size: int, seek: Seek = os.lseek) -> Ranges:
    """The ranges of a file of `size` bytes that may hold other than zeros.

    :param handle: open for reading.
    """
    with contextlib.suppress(OSError):  # a file system that cannot is believed as it is
        os.fdatasync(handle)
    found = np.array(list(_iter_data(handle, size, seek)), dtype=np.int64).reshape(-1, 2)
    return join_bytes(found[:, 0], found[:, 1])


def _iter_data(handle: int, size: int, seek: Seek) -> Iterator[tuple[int, int]]:
    """(begin, end), ascending."""
    at = 0
    while at < size:
        try:
            begin = seek(handle, at, os.SEEK_DATA)
            hole = seek(handle, begin, os.SEEK_HOLE) if at <= begin < size else begin
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: from here on there is a hole
                yield at, size
            return
        if begin >= size:
            return
        if not at <= begin < hole:
            yield at, size
            return
        end = min(size, -(-hole // STEP) * STEP)
        yield begin, end
        at = end
