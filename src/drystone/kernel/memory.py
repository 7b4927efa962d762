"""Memory that stays: pages of this process that are never swapped out, nor read in from a disk again; and memory that
is asked for without waiting for a disk.

A process that suspends a disk must not need that disk: neither its swap nor its own text. Source: mlockall(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Iterator

from drystone.base.errors import KernelError

_LIBC = ctypes.CDLL(None, use_errno=True)
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4
_PR_SET_IO_FLUSHER = 57

_LOCK = threading.Lock()
_HOLDERS = 0


@contextlib.contextmanager
def locked_memory() -> Iterator[None]:
    """All memory of this process is in RAM and stays there until the block ends; blocks of several threads may overlap.

    What is mapped now is read in and locked. What is mapped later is locked when it is first touched: locking it whole
    would make every new thread's stack (8 MiB) resident.

    :raises KernelError: the limit RLIMIT_MEMLOCK, or too little memory.
    """
    global _HOLDERS  # noqa: PLW0603  # the kernel keeps one lock for the process, so its count is the process's
    with _LOCK:
        if _HOLDERS == 0:
            _call("mlockall", _LIBC.mlockall, _MCL_CURRENT)
            _call("mlockall", _LIBC.mlockall, _MCL_FUTURE | _MCL_ONFAULT)
        _HOLDERS += 1
    try:
        yield
    finally:
        with _LOCK:
            _HOLDERS -= 1
            if _HOLDERS == 0:
                _LIBC.munlockall()


def become_io_flusher() -> None:
    """Have memory that this thread asks for never be won by writing to a disk; threads that it makes inherit that.

    For who serves a disk: the write that is waited for might need the very disk, and so this process. Where the kernel
    refuses (before Linux 5.6, or without CAP_SYS_RESOURCE) nothing changes. Source: prctl(2).
    """
    _LIBC.prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0)


def _call(operation: str, function: ctypes._NamedFuncPointer, flags: int) -> None:
    if function(flags) == 0:
        return
    number = ctypes.get_errno()
    _LIBC.munlockall()
    hint = "raise the limit (ulimit -l unlimited), or run as root" if number in (errno.EPERM, errno.ENOMEM) else ""
    raise KernelError(operation, number, hint=hint, pid=os.getpid())
