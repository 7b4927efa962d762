"""Bytes of a file written to its disk while others come, so that the sync at the end does not wait for all of them.

The kernel alone keeps gigabytes back (a fifth of the memory) before it has a writer wait. What databases do about it is
done here: a few megabytes at a time are begun, and waited for. Nothing is durable by that: names, sizes and the disk's
own cache are a sync's. Source: sync_file_range(2).
"""

from __future__ import annotations

import errno
import os

from drystone.kernel.libc import sync_file_range

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_NO_RANGES = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
"""What the call answers where there is none, as in some sandboxes."""


def begin_write_back(handle: int, offset: int, length: int) -> None:
    """Have these bytes written from now on. Waits where the disk's queue is full, for nothing else.

    :raises OSError: as the call; not where there is no such call, where nothing begins.
    """
    try:
        sync_file_range(handle, offset, length, _WRITE)
    except OSError as error:
        if error.errno not in _NO_RANGES:
            raise


def await_write_back(handle: int, offset: int, length: int) -> None:
    """Wait until these bytes were written; where there is no such call, until all of the file is durable.

    :raises OSError: they were not: the kernel may say so this once, and no later sync does.
    """
    try:
        sync_file_range(handle, offset, length, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
    except OSError as error:
        if error.errno not in _NO_RANGES:
            raise
        os.fdatasync(handle)
