"""A disk's files that fail at one call: faults as an ordinary implementation of drystone.fleet.disk.files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from drystone.testing.fleet.disk_world import UnsyncedFiles


class FaultyFiles(UnsyncedFiles):
    """Files of which one changing call fails.

    :param at: its number from 0; -1 for none. :param number: the errno. :param for_good: all later ones fail too.
    :ivar calls: names of the changing calls that were made.
    """

    def __init__(self, root: Path, at: int, number: int, *, for_good: bool = False) -> None:
        super().__init__(root)
        self.calls: list[str] = []
        self._at = at
        self._number = number
        self._for_good = for_good
        self._guard = threading.Lock()

    def arm(self, at: int) -> None:
        """Another call fails than was said, or none."""
        self._at = at

    def _count(self, name: str) -> None:
        with self._guard:
            number = len(self.calls)
            self.calls.append(name)
            fails = self._at >= 0 and (number == self._at or (self._for_good and number > self._at))
        if fails:
            raise OSError(self._number, os.strerror(self._number), name)

    def create(self, place: str) -> int:
        self._count("create")
        return super().create(place)

    def write(self, handle: int, data: bytes | memoryview) -> None:
        self._count("write")
        super().write(handle, data)

    def write_at(self, handle: int, data: bytes | memoryview, offset: int) -> None:
        self._count("write_at")
        super().write_at(handle, data, offset)

    def copy(self, source: int, target: int, begin: int, count: int) -> None:
        self._count("copy")
        super().copy(source, target, begin, count)

    def begin_write_back(self, handle: int, begin: int, count: int) -> None:
        self._count("begin_write_back")
        super().begin_write_back(handle, begin, count)

    def await_write_back(self, handle: int, begin: int, count: int) -> None:
        self._count("await_write_back")
        super().await_write_back(handle, begin, count)

    def set_time(self, handle: int, modified: float) -> None:
        self._count("set_time")
        super().set_time(handle, modified)

    def sync(self, handle: int) -> None:
        self._count("sync")
        super().sync(handle)

    def rename(self, source: str, target: str) -> None:
        self._count("rename")
        super().rename(source, target)

    def link(self, source: str, target: str) -> None:
        self._count("link")
        super().link(source, target)

    def unlink(self, place: str) -> bool:
        self._count("unlink")
        return super().unlink(place)

    def make_folders(self, place: str) -> None:
        self._count("make_folders")
        super().make_folders(place)

    def sync_folder(self, place: str) -> None:
        self._count("sync_folder")
        super().sync_folder(place)
