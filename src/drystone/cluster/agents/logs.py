"""The logs of mirrors: which regions of its legs may differ.

A log is a small block device in RAM. It is of one attachment in one boot: what it knows is lost with the ihost, and
then the dlv is attached anew, by its record. Before a table with a new log is loaded the log is written as the wish
says; from then on it is the kernel's.

The format, little-endian: u32 0x4D695272, u32 2, u64 number of regions; from byte 1024 on a bit a region, 1 = clean.
Source: Linux 6.1 `drivers/md/dm-log.c` (struct log_header_disk, LOG_OFFSET, disk_resume).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.base.names import check_name
from drystone.cluster.model.calls import Log
from drystone.kernel import loop
from drystone.kernel.dm.number import DeviceNumber

MOST_REGIONS = 1 << 32
_MAGIC, _VERSION = 0x4D695272, 2
_HEADER = struct.Struct("<IIQ")
_BITS_AT = 1024
_ROUND = 4096
_WORD = 4
"""Bytes of the words that the kernel reads bits by."""


class LogNote(Struct, frozen=True, forbid_unknown_fields=True):
    """A log that was begun. :ivar device: its name among LogDevices. :ivar user: the device with its table, as text.

    Two devices never share a log: the one that starts would copy regions that the other is writing.
    """

    path: str
    device: str
    user: str


class LogDevices(Protocol):
    """Small block devices that outlive the agent, and not the boot."""

    def find(self, name: str) -> DeviceNumber | None:
        """The device of that name."""

    def make(self, name: str, content: bytes) -> DeviceNumber:
        """A device with this content; one that is there is not in use, and is made anew."""

    def remove(self, name: str) -> None:
        """Remove one that nobody uses any more. None: nothing to do."""

    def names(self) -> list[str]:
        """Of all that there are."""


class RamLogs:
    """LogDevices by loop devices on files. The constructor has no effects.

    :param folder: on a tmpfs; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> DeviceNumber | None:
        found = self._loops(name)
        return found[0].number if found else None

    def make(self, name: str, content: bytes) -> DeviceNumber:
        self.remove(name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(name)
        path.write_bytes(content)
        return loop.attach(str(path)).number

    def remove(self, name: str) -> None:
        for each in self._loops(name):
            loop.detach(each.path)
        self._path(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return sorted(each.name for each in self._folder.iterdir()) if self._folder.is_dir() else []

    def _loops(self, name: str) -> list[loop.Loop]:
        path = self._path(name)
        return loop.find_by_file(str(path)) if path.exists() else []

    def _path(self, name: str) -> Path:
        return self._folder / check_name(name, "log")


def dlv_of_device(name: str) -> str:
    """The dlv (its id) whose log a device of `device_name` is."""
    return name.rsplit("_", 2)[0]


def log_bytes(log: Log) -> bytes:
    """What a log begins as. For `nosync` it is as for `clean`, although the kernel then marks all clean itself.

    When the table that says `nosync` never came to be the next one goes on with the log, and says nothing of it.

    :raises UsageError: a number of regions that cannot be. :raises RefusedError: it should be one that was kept.
    """
    if not 0 < log.regions <= MOST_REGIONS:
        raise UsageError(f"a log of {log.regions} regions")
    if log.bits == "kept":
        raise RefusedError(
            f"the log {log.path} was to be kept, and is not here", hint="attach the dlv anew, by its record"
        )
    data = bytearray(-(-(_BITS_AT + -(-log.regions // (8 * _WORD)) * _WORD) // _ROUND) * _ROUND)
    data[: _HEADER.size] = _HEADER.pack(_MAGIC, _VERSION, log.regions)
    if log.bits != "dirty":
        whole, rest = divmod(log.regions, 8)
        data[_BITS_AT : _BITS_AT + whole] = b"\xff" * whole
        if rest:
            data[_BITS_AT + whole] = (1 << rest) - 1
    return bytes(data)


def begins_anew(log: Log, user: str, noted: LogNote | None) -> bool:
    """Whether the wish's bits are to be written to a new log, rather than the one there is gone on with.

    They hold for the moment in which the mirror is put together as `user` says. For a mirror that is so already they
    were written when it came to be.
    """
    return noted is None or (log.bits != "kept" and noted.user != user)


def device_name(log: Log, dlv: str, epoch: int) -> str:
    """The name of the device that a log begun in that epoch is on."""
    mirror = log.path.rsplit("/", 1)[-1]
    return check_name(f"{dlv}_{mirror}_{epoch}", "log")


def find_log(logs: LogDevices, note: LogNote) -> DeviceNumber:
    """The device of a log that was begun. :raises NotFoundError: it is gone."""
    found = logs.find(note.device)
    if found is None:
        raise NotFoundError(
            f"the log {note.path} was begun and is gone: what its mirror's legs have missed is not known",
            hint="detach the dlv, and attach it anew",
        )
    return found
