"""Telling a mounted file system to give its free blocks back (fstrim): ioctl FITRIM.

Source: Linux `include/uapi/linux/fs.h`, struct fstrim_range.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from drystone.base.errors import KernelError, UnsupportedError

_FITRIM = 0xC0185879
_RANGE = struct.Struct("=QQQ")
"""First byte, bytes to look at, least run of free bytes to give back."""
_ALL = (1 << 64) - 1


def trim(target: str) -> int:
    """Give back all free blocks of the file system that is mounted at `target`; bytes that were given back.

    A file system may leave out what it gave back before, until it is mounted anew: ext4 does.

    :raises UnsupportedError: the file system, or what is below it, takes no discards.
    :raises KernelError: it failed.
    """
    handle = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(handle, _FITRIM, _RANGE.pack(0, _ALL, 0))
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.ENOTTY}:
            raise UnsupportedError(f"what is mounted at {target} cannot be trimmed") from error
        raise KernelError("trim", error.errno or 0, device=target) from error
    finally:
        os.close(handle)
    trimmed: int = _RANGE.unpack(answer)[1]
    return trimmed
