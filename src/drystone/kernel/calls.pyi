"""System calls that Python does not offer, or not without its lock, in C (calls.c).

`fcntl.ioctl` keeps the interpreter's lock whenever the buffer is longer than 1024 bytes (CPython,
Modules/fcntlmodule.c). A status call on a thin pool may wait for a disk, and would hold up every thread of a daemon
meanwhile. Every function here gives the lock up for its whole time, whatever the length.

Every function returns the call's answer, or raises OSError with errno. None retries after a signal (EINTR): what a
signal handler raised is raised first, by the interpreter.
"""

from typing_extensions import Buffer

def ioctl_buffer(handle: int, request: int, buffer: Buffer, /) -> int:
    """ioctl with a pointer to `buffer`, which the kernel may write to."""

def ioctl_value(handle: int, request: int, value: int = 0, /) -> int:
    """ioctl with a number in place of the pointer."""

def lock_memory(flags: int, /) -> int:
    """mlockall(2): `flags` of MCL_ bits."""

def unlock_memory() -> int:
    """munlockall(2)."""

def advise_memory(begin: int, end: int, advice: int, /) -> int:
    """madvise(2) for the addresses [begin, end) of this process."""
