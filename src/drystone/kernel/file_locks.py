"""Locks of parts of files that a process has (POSIX record locks), and who has them: fcntl(2), proc(5).

Such a lock ends with its process, however that ends, and when the process closes any descriptor of the file.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that a process has. :ivar begin, end: the first and the last byte; `end` -1 for all that follow."""

    pid: int
    writes: bool
    inode: int
    begin: int
    end: int

    def covers(self, byte: int) -> bool:
        """Whether that byte is locked by it."""
        return self.begin <= byte and (self.end == -1 or byte <= self.end)


def lock_byte(path: Path, byte: int) -> int:
    """Lock one byte of a file, which is made when missing; the descriptor to close.

    :raises BlockingIOError: another process has it. :raises OSError: the file cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.lseek(handle, byte, os.SEEK_SET)
        os.lockf(handle, os.F_TLOCK, 1)
    except BaseException:
        os.close(handle)
        raise
    return handle


def list_locks() -> tuple[HeldLock, ...]:
    """All that processes of our PID namespace have; none where the kernel does not tell."""
    try:
        return tuple(parse_locks(_LOCKS.read_text(encoding="ascii")))
    except OSError:
        return ()


def parse_locks(text: str) -> Iterator[HeldLock]:
    """The POSIX locks of /proc/locks; what is waited for is passed over, and so are processes of other namespaces.

    Devices are left out: on some file systems those of the list are others than stat(2) gives.
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) == 8 and words[1] == "POSIX" and int(words[4]) > 0:
            _, _, _, kind, pid, place, begin, end = words
            inode = int(place.rpartition(":")[2])
            yield HeldLock(int(pid), kind == "WRITE", inode, int(begin), -1 if end == "EOF" else int(end))


def kill_if(pid: int, is_still: Callable[[], bool]) -> bool:
    """SIGKILL to a process; whether it was sent.

    :param is_still: whether `pid` is still the process that is meant, asked when its number cannot become another's.
    :raises PermissionError: it is another user's.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_still():
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True
