"""The mappers that use one SQLite file, on one machine: one that hangs within a change of it is ended by another.

SQLite's locks end with their process only, so that such a one would keep all others from the database for ever. Linux
tells in /proc/locks which process holds which lock (proc(5)). Every mapper holds a lock on a byte of its own of a file
beside the database for as long as it uses it: who has none there is no mapper, and is never ended.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_LOCKS = Path("/proc/locks")
_WAL_LOCKS = range(120, 123, 2)
"""Bytes of the -shm file that who writes, and who recovers, has locked (SQLite's page on the WAL-mode file format)."""


@dataclass(frozen=True, slots=True)
class _Lock:
    """A lock that a process has. :ivar begin, end: the first and the last byte; `end` -1 for all."""

    pid: int
    writes: bool
    inode: int
    begin: int
    end: int

    def covers(self, byte: int) -> bool:
        return self.begin <= byte and (self.end == -1 or byte <= self.end)


class Presence:
    """This process as one of the mappers of a database. :param database: its file."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._marks = database.with_name(f"{database.name}-mappers")
        self._file: int | None = None

    def begin(self) -> None:
        """Be known as a mapper, until `end` or the end of the process. :raises OSError: the file cannot be made."""
        if self._file is None:
            self._file = os.open(self._marks, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.lseek(self._file, os.getpid(), os.SEEK_SET)
            os.lockf(self._file, os.F_TLOCK, 1)

    def end(self) -> None:
        """Be known as none any more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def end_hung(self) -> bool:
        """End the other mapper that is in the middle of a change; whether there was one that could be ended.

        To be asked when the database was locked for so long that whoever has locked it must hang.
        """
        pid = self._find_holder()
        if not pid:
            return False
        try:
            process = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            if self._find_holder() != pid:
                return False  # that one has ended, or gone on; the number may be somebody else's now
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except OSError as error:
            log.warning("the mapper of process %d hangs within a change, and cannot be ended: %s", pid, error)
            return False
        finally:
            os.close(process)
        log.warning("the mapper of process %d hung within a change, and was ended", pid)
        return True

    def _find_holder(self) -> int:
        """The process of another mapper that has the database locked, 0 when there is none."""
        try:
            files = [Path(f"{self._database}{suffix}").stat().st_ino for suffix in ("", "-shm", "-mappers")]
            locks = tuple(parse_locks(_LOCKS.read_text(encoding="ascii")))
        except OSError:
            return 0
        main, shared, marks = files
        mappers = {each.pid for each in locks if each.inode == marks} - {0, os.getpid()}
        for each in locks:
            if each.writes and each.pid in mappers:
                changes = each.inode == shared and any(map(each.covers, _WAL_LOCKS))
                if changes or each.inode == main:
                    return each.pid
        return 0


def parse_locks(text: str) -> Iterator[_Lock]:
    """The POSIX locks that are held, as /proc/locks lists them; what is waited for is passed over.

    Devices are not compared: on some file systems those of the list are others than stat(2) gives.
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) == 8 and words[1] == "POSIX":
            _, _, _, kind, pid, place, begin, end = words
            yield _Lock(
                int(pid),
                kind == "WRITE",
                int(place.rpartition(":")[2]),
                int(begin),
                -1 if end == "EOF" else int(end),
            )
