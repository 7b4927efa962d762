"""Whether a disk is good: errors it met become ours, and those that say it is failing are remembered."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    ExhaustedError,
    KernelError,
    MismatchError,
    UnavailableError,
)
from drystone.fleet.disk import places
from drystone.fleet.disk.identity import Identity, mount_of, read_identity
from drystone.fleet.documents import DiskHealth, DiskReport

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FAILING = frozenset(
    {
        errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.EUCLEAN, errno.EBADMSG, errno.EREMOTEIO, errno.ESTALE,
        errno.ENOMEDIUM, errno.ENOTCONN, errno.ESHUTDOWN,
    }
)  # fmt: skip
_MOST_UNREAD = 8
"""Reads of objects that may fail with EIO before the disk counts as bad."""
_FAILING_INDEX = ("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_PROTOCOL")
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_GONE_INDEX = ("SQLITE_CANTOPEN", "SQLITE_READONLY_DBMOVED")
_NOTHING = 1 << 20
_DAMAGED_INDEX = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Trouble:
    """What a disk met.

    :param name: of the disk, for messages. :param root: where it is mounted.
    :ivar reason: why it is bad; "" while it is good. :ivar is_missing: it is, or was, not there: its index may be
        another one than that of the folder by now.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.reason = ""
        self.is_missing = False
        self._root = root
        self._unread = 0

    def check(self) -> None:
        """:raises UnavailableError: the disk is bad or missing: nothing is written to it until it was opened again."""
        if self.is_missing:
            raise self._lose()
        if self.reason:
            raise UnavailableError(f"disk {self.name} is bad: {self.reason}", disk=self.name)

    def note(self, reason: str) -> None:
        """The disk is bad from now on; the first reason is kept."""
        self.reason = self.reason or reason

    def is_too_much(self) -> bool:
        """Count a read that failed with EIO; True when there were so many that the disk is bad."""
        self._unread += 1
        return self._unread >= _MOST_UNREAD

    @contextlib.contextmanager
    def told(self, operation: str) -> Iterator[None]:
        """Errors of the file system and of SQLite as ours.

        :raises ExhaustedError: the disk is full. :raises UnavailableError: it is failing, which is noted, or gone.
        :raises DamagedError: the index is damaged, which is noted. :raises KernelError: anything else.
        """
        try:
            yield
        except OSError as error:
            raise self._translate(operation, error) from error
        except sqlite3.Error as error:
            raise self._translate_index(operation, error) from error

    def _translate(self, operation: str, error: OSError) -> DrystoneError:
        number = error.errno or errno.EIO
        if number in _FULL:
            return ExhaustedError(f"disk {self.name} is full", disk=self.name, operation=operation)
        if number in _GONE or self._is_gone():  # where a file may be missing nobody comes here
            return self._lose()
        if number in _FAILING:
            self.note(f"{operation}: {os.strerror(number)}")
            return UnavailableError(
                f"disk {self.name} is bad: {self.reason}", disk=self.name, errno=number, operation=operation
            )
        return KernelError(operation, number, device=self.name)

    def _translate_index(self, operation: str, error: sqlite3.Error) -> DrystoneError:
        name = getattr(error, "sqlite_errorname", "")
        said = f"{operation}: index: {error}"
        if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and self._is_full()):
            return ExhaustedError(f"disk {self.name} is full", disk=self.name, operation=operation)
        if name.startswith("SQLITE_CONSTRAINT"):
            return MismatchError(f"disk {self.name}: {said}", disk=self.name)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return BusyError(f"disk {self.name}: {said}", disk=self.name)
        if name.startswith(_GONE_INDEX) or self._is_gone():
            return self._lose()
        if name.startswith(_DAMAGED_INDEX):
            self.note(said)
            return DamagedError(f"disk {self.name} has a damaged index: {error}", disk=self.name)
        if name.startswith(_FAILING_INDEX):
            self.note(said)
            return UnavailableError(f"disk {self.name} is bad: {said}", disk=self.name)
        if isinstance(error, sqlite3.ProgrammingError):
            return UnavailableError(f"disk {self.name} was closed meanwhile", disk=self.name)
        return DrystoneError(f"disk {self.name}: {said}", disk=self.name)

    def _lose(self) -> UnavailableError:
        self.is_missing = True
        return UnavailableError(
            f"disk {self.name} is missing: its folders are gone, or were",
            disk=self.name,
            hint="it is to be opened anew",
        )

    def _is_gone(self) -> bool:
        return not os.path.lexists(self._root / places.IDENTITY)

    def _is_full(self) -> bool:
        try:
            return free_bytes(self._root) < _NOTHING
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody else found about a disk, beside what it met.

    :ivar disk_id: which; of another one it says nothing. :ivar is_bad: it is not to be used. :ivar is_failing: it is to
        be emptied.
    """

    disk_id: str
    reason: str
    is_bad: bool = False
    is_failing: bool = False

    def add_to(self, report: DiskReport) -> DiskReport:
        """The report with what was found, unless the disk is another, or worse by what it met itself."""
        if report.disk_id != self.disk_id or report.health != "good":
            return report
        health: DiskHealth = "bad" if self.is_bad else "good"
        return msgspec.structs.replace(report, health=health, reason=self.reason, failing=self.is_failing)


def free_bytes(root: Path) -> int:
    """Room in a file system, for those who are not root."""
    room = os.statvfs(root)
    return room.f_bavail * room.f_frsize


def report_disk(root: Path, name: str, identity: Identity, mount: int, trouble: Trouble) -> DiskReport:
    """The disk as it is now: reads its identity and asks the file system for its room.

    A disk whose identity is gone, is another's, or lies in another file system than when it was opened is missing.
    """
    health: DiskHealth = "bad" if trouble.reason else "good"
    reason, capacity, free = trouble.reason, 0, 0
    if trouble.is_missing:
        health, reason = "missing", "it was gone, and was not opened again yet"
    try:
        found = read_identity(root)
        if found.disk_id != identity.disk_id:
            health, reason = "missing", f"another disk is there: {found.disk_id}"
        elif mount_of(root) != mount:
            health, reason = "missing", "another file system is mounted there"
        room = os.statvfs(root)
        capacity, free = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
    except UnavailableError as error:
        is_there = error.facts.get("errno") is not None
        health, reason = ("bad" if is_there else "missing"), error.message
    except (DamagedError, OSError) as error:
        health, reason = "bad", str(error)
    return DiskReport(name, identity.disk_id, health, capacity, free, reason)


def probe_disk(root: Path) -> None:
    """Write, sync and read a small file.

    :raises OSError: any of it failed; EIO when it reads otherwise than it was written.
    """
    path = root / places.OWN / "probe"
    data = os.urandom(512)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, data)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        if os.pread(handle, 512, 0) != data:
            raise OSError(errno.EIO, "what was written reads otherwise", str(path))
    finally:
        os.close(handle)
