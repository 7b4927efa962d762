"""The mappers that use one SQLite file, on one machine: one that hangs within a change of it is ended by another.

SQLite's locks end with their process only, so that such a one would keep all others from the database for ever. Every
mapper holds a lock on a byte of its own of a file beside the database for as long as it uses it: who has none there is
no mapper, and is never ended; nor is a process of another PID namespace, which is not seen. What was not committed
does not count, and what was, is on the disk: SQLite undoes the rest when the next one opens the file.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from drystone.kernel.file_locks import kill_if, list_locks, lock_byte

log = logging.getLogger(__name__)

_WAL_LOCKS = (120, 122)
"""Bytes of the -shm file that who writes, and who recovers, has locked (SQLite's page on the WAL-mode file format)."""


class Presence:
    """This process as one of the mappers of a database. :param database: its file."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._marks = database.with_name(f"{database.name}-mappers")
        self._handle: int | None = None

    def begin(self) -> None:
        """Be known as a mapper, until `end` or the end of the process. :raises OSError: the file cannot be made."""
        if self._handle is None:
            self._handle = lock_byte(self._marks, os.getpid())

    def end(self) -> None:
        """Be known as none any more."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def end_hung(self) -> bool:
        """End the other mapper that is in the middle of a change; whether there was one that could be ended.

        To be asked when the database was locked for so long that whoever has locked it must hang.
        """
        pid = self._find_holder()
        try:
            ended = bool(pid) and kill_if(pid, lambda: self._find_holder() == pid)
        except PermissionError as error:
            log.warning("the mapper of process %d hangs within a change, and cannot be ended: %s", pid, error)
            return False
        if ended:
            log.warning("the mapper of process %d hung within a change, and was ended", pid)
        return ended

    def _find_holder(self) -> int:
        """The process of another mapper that has the database locked, 0 when there is none."""
        try:
            main, shared, marks = (Path(f"{self._database}{each}").stat().st_ino for each in ("", "-shm", "-mappers"))
        except OSError:
            return 0
        locks = list_locks()
        mappers = {each.pid for each in locks if each.inode == marks} - {os.getpid()}
        for each in locks:
            if each.writes and each.pid in mappers:
                changes = each.inode == shared and any(map(each.covers, _WAL_LOCKS))
                if changes or each.inode == main:
                    return each.pid
        return 0
