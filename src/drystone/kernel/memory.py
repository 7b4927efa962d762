"""Memory that stays: pages of this process that are never swapped out, nor read in from a disk again; memory that is
asked for without waiting for a disk; and memory that is kept when it is freed, for what is asked for next.

A process that suspends a disk must not need that disk: neither its swap nor its own text. Sources: mlockall(2),
madvise(2), mallopt(3).
"""

from __future__ import annotations

import contextlib
import errno
import os
from _thread import allocate_lock  # threading is 60 pages of memory that a tool without threads does not need
from collections.abc import Iterator

from drystone.base.errors import KernelError
from drystone.kernel.calls import advise_memory, lock_memory, unlock_memory

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
            _lock(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
            if not _read_in():
                _lock(_MCL_CURRENT)
                _lock(_MCL_FUTURE | _MCL_ONFAULT)
        _HOLDERS += 1
    try:
        yield
    finally:
        with _LOCK:
            _HOLDERS -= 1
            if _HOLDERS == 0:
                unlock_memory()


def become_io_flusher() -> None:
    """Have memory that this thread asks for never be won by writing to a disk; threads that it makes inherit that.

    For who serves a disk: the write that is waited for might need the very disk, and so this process. Where the kernel
    refuses (before Linux 5.6, or without CAP_SYS_RESOURCE) nothing changes. Source: prctl(2).
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0)


def keep_freed_memory(size: int) -> None:
    """Have this process keep up to `size` bytes (and what lies between used ones) that it freed, from now on.

    For who passes megabytes through short-lived buffers: given back to the kernel, each comes again as a page fault for
    every 4 KiB. With a C library other than glibc nothing changes.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, size)
        mallopt(_M_MMAP_THRESHOLD, min(size, _LONGEST_KEPT))


def _read_in() -> bool:
    """Read in what is on a disk: mapped files, and what was swapped out. False: this kernel cannot (before 5.14).

    Memory of no file is left alone unless something was swapped out: never touched, it has nothing to be read. In a
    User-Mode Linux each of its pages would be a mapping of the host's, of which a process has 65,530.
    """
    swapped = any(line.startswith("VmSwap:") and line.split()[1:2] != ["0"] for line in _read(_STATUS).splitlines())
    done = False
    for run in list_runs(_read(_MAPS), with_all=swapped):
        if _populate(run[0][0], run[-1][1]):
            done = True
            continue
        for begin, end in run if len(run) > 1 else ():
            done |= _populate(begin, end)
    return done


def list_runs(maps: str, *, with_all: bool) -> list[list[tuple[int, int]]]:
    """Addresses [begin, end) of mappings that can be read, in /proc/PID/maps; those that touch are in one list.

    :param with_all: those of no file, too.
    """
    runs: list[list[tuple[int, int]]] = []
    for line in maps.splitlines():
        place, rights, _, _, inode = line.split(None, 5)[:5]
        if "r" not in rights or (inode == "0" and not with_all):
            continue
        begin, end = (int(word, 16) for word in place.split("-"))
        if runs and runs[-1][-1][1] == begin:
            runs[-1].append((begin, end))
        else:
            runs.append([(begin, end)])
    return runs


def _populate(begin: int, end: int) -> bool:
    """Refused for what is no memory of ours (vvar), and past the end of a mapped file: neither is ever read."""
    try:
        advise_memory(begin, end, _MADV_POPULATE_READ)
    except OSError:
        return False
    return True


def _lock(flags: int) -> None:
    try:
        lock_memory(flags)
    except OSError as error:
        unlock_memory()
        number = error.errno or 0
        hint = "raise the limit (ulimit -l unlimited), or run as root" if number in (errno.EPERM, errno.ENOMEM) else ""
        raise KernelError("mlockall", number, hint=hint, pid=os.getpid()) from error


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123  # small tools start without pathlib
        return file.read()
