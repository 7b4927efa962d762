"""The raw system calls that a guest's first process makes. Numbers are those of x86-64."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

MS_RDONLY = 1
MS_NOSUID = 2
MS_REMOUNT = 32
MS_MOVE = 8192
MS_PRIVATE = 1 << 18
MS_REC = 16384
_MNT_DETACH = 2
_PIVOT_ROOT = 155
_FINIT_MODULE = 313
_PR_SET_IO_FLUSHER = 57
_ARG_START = 48
"""The number of the field in proc(5); the third is the first behind the command's name."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, *names: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), " ".join(names))


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2).

    :raises OSError: with source and target in its filename.
    """
    _check(
        _libc.mount(
            source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), os.fsencode(options) or None
        ),
        source,
        target,
    )


def detach(target: str) -> None:
    """umount2(2), lazily.

    :raises OSError: with the target in its filename.
    """
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of every process, the kernel's own helpers among them, and put the old one at `old`.

    :raises OSError: with both in its filename.
    """
    _check(_libc.syscall(_PIVOT_ROOT, os.fsencode(new), os.fsencode(old)), new, old)


def load_module(path: str) -> None:
    """Load one kernel module from its file; a module that is loaded already is fine.

    :raises OSError: with the path in its filename.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.syscall(_FINIT_MODULE, handle, b"", 0), path)
    except FileExistsError:
        return
    finally:
        os.close(handle)


def set_host_name(name: str) -> None:
    """sethostname(2).

    :raises OSError: the kernel refused it.
    """
    data = name.encode()
    _check(_libc.sethostname(data, len(data)), name)


def sync_filesystem(handle: int) -> None:
    """syncfs(2): everything written to the file system of the open `handle` is with its host when this returns.

    :raises OSError: a write failed.
    """
    _check(_libc.syncfs(handle), str(handle))


def become_io_flusher() -> None:
    """prctl(PR_SET_IO_FLUSHER): memory that this process asks for is never won by writing to the disks it serves.

    :raises OSError: the kernel refused it.
    """
    _check(_libc.prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0), "prctl")


def outlive_shutdown() -> None:
    """Have this process be called `@...`: systemd's last step before the power goes ends all others (systemd-shutdown).

    Its own words lie in memory where proc(5) says (`arg_start` in /proc/self/stat), to be written over.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ctypes.memset(int(fields[_ARG_START - 3]), ord("@"), 1)
