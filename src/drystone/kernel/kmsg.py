"""The kernel's log (/dev/kmsg): why device-mapper or a file system refused stands there and nowhere else.

Format: Linux `Documentation/ABI/testing/dev-kmsg`: `priority,sequence,microseconds,flags;text`, a record a read. The
time in it drifts from every clock that a program can read, so "since" is a place in the log, not a moment.
"""

from __future__ import annotations

import os

_MOST_RECORDS = 20_000
_RECORD_SIZE = 8192
_UNREADABLE = -1


def parse_record(data: bytes) -> str | None:
    """The first line of a record's text; None when it is not a record."""
    prefix, divider, text = data.partition(b";")
    if not divider or prefix.count(b",") < 2:
        return None
    return os.fsdecode(text.split(b"\n", 1)[0])


class KernelLog:
    """A reader of what is logged from a mark on. Nothing is opened before the first mark; where the log may not be
    read it is empty. A mark holds for all threads: one of them may see another's lines, or miss some of its own.
    """

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self.path = path
        self._handle: int | None = None

    def mark(self) -> None:
        """Pass over what was logged up to now."""
        if self._handle is None:
            try:
                self._handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                self._handle = _UNREADABLE
        if self._handle != _UNREADABLE:
            os.lseek(self._handle, 0, os.SEEK_END)

    def read(self, beginnings: str | tuple[str, ...]) -> list[str]:
        """The lines since the mark that begin in one of these ways."""
        found: list[str] = []
        if self._handle is None or self._handle == _UNREADABLE:
            return found
        for _ in range(_MOST_RECORDS):
            try:
                data = os.read(self._handle, _RECORD_SIZE)
            except BrokenPipeError:
                continue  # the ring went round: the next read begins at what is left
            except OSError:
                break  # EAGAIN: the end of the log
            if not data:
                break
            line = parse_record(data)
            if line is not None and line.startswith(beginnings):
                found.append(line)
        return found

    def close(self) -> None:
        """Close it; the next mark opens it again."""
        handle, self._handle = self._handle, None
        if handle is not None and handle != _UNREADABLE:
            os.close(handle)
