"""Memory that stays: pages of this process that are never swapped out, nor read in from a disk again; memory that is
asked for without waiting for a disk; and memory that is kept when it is freed, for what is asked for next.

A process that suspends a disk must not need that disk: neither its swap nor its own text. Sources: mlockall(2),
madvise(2), mallopt(3).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
from _thread import allocate_lock  # threading is 60 pages of memory that a tool without threads does not need
from collections.abc import Iterator

from drystone.base.errors import KernelError

_LIBC = ctypes.CDLL(None, use_errno=True)
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4
_MADV_POPULATE_READ = 22
_MAPS = "/proc/self/maps"
_STATUS = "/proc/self/status"
_PR_SET_IO_FLUSHER = 57
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LONGEST_KEPT = 4 << 20

_LOCK = allocate_lock()
_HOLDERS = 0


@contextlib.contextmanager
def locked_memory() -> Iterator[None]:
    """What this process uses of its memory is in RAM and stays there until the block ends; blocks may overlap.

    What is mapped now is read in, from swap and from files, and locked. What was never touched (most of every thread's
    stack of 8 MiB), or is mapped later, is locked when it is first touched: locked whole, 64 idle threads would make
    half a gigabyte resident. Before Linux 5.14 what is mapped now is locked whole.

    :raises KernelError: the limit RLIMIT_MEMLOCK, or too little memory.
    """
    global _HOLDERS  # noqa: PLW0603  # the kernel keeps one lock for the process, so its count is the process's
    with _LOCK:
        if _HOLDERS == 0:
            _call("mlockall", _LIBC.mlockall, _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
            if not _read_in():
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


def keep_freed_memory(size: int) -> None:
    """Have this process keep up to `size` bytes (and what lies between used ones) that it freed, from now on.

    For who passes megabytes through short-lived buffers: given back to the kernel, each comes again as a page fault for
    every 4 KiB. With a C library other than glibc nothing changes.
    """
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, size)
        mallopt(_M_MMAP_THRESHOLD, min(size, _LONGEST_KEPT))


def _read_in() -> bool:
    """Read in what is on a disk: mapped files, and what was swapped out. False: this kernel cannot (before 5.14).

    Memory of no file is left alone unless something was swapped out: never touched, it has nothing to be read. In a
    User-Mode Linux each of its pages would be a mapping of the host's, of which a process has 65,530.
    """
    _LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    swapped = re.search(r"^VmSwap:\s+[1-9]", _read(_STATUS), re.MULTILINE) is not None
    done = False
    for line in _read(_MAPS).splitlines():
        place, rights, _, _, inode = line.split(None, 5)[:5]
        if "r" not in rights or (inode == "0" and not swapped):
            continue
        begin, _, end = place.partition("-")
        # Refused for what is no memory of ours (vvar), and past the end of a mapped file: neither is ever read.
        done |= _LIBC.madvise(int(begin, 16), int(end, 16) - int(begin, 16), _MADV_POPULATE_READ) == 0
    return done


def _call(operation: str, function: ctypes._NamedFuncPointer, flags: int) -> None:
    if function(flags) == 0:
        return
    number = ctypes.get_errno()
    _LIBC.munlockall()
    hint = "raise the limit (ulimit -l unlimited), or run as root" if number in (errno.EPERM, errno.ENOMEM) else ""
    raise KernelError(operation, number, hint=hint, pid=os.getpid())


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123  # small tools start without pathlib
        return file.read()
