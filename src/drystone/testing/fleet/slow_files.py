"""A disk that writes slowly, behind a cache that takes all at once."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path

from drystone.fleet.disk.files import DiskFiles


class SlowWrites:
    """One disk's queue: one write after another. :param rate: bytes a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._guard = threading.Lock()

    def begin(self, count: int) -> float:
        """Queue so many bytes; when they will have been written, of `time.monotonic`."""
        with self._guard:
            self._free_at = max(self._free_at, time.monotonic()) + count / self._rate
            return self._free_at


class SlowFiles(DiskFiles):
    """A folder whose files are written at a rate.

    :ivar longest_sync: seconds that the longest sync of a file took.
    """

    def __init__(self, root: Path, rate: float) -> None:
        super().__init__(root)
        self._writes = SlowWrites(rate)
        self._dirty: defaultdict[int, int] = defaultdict(int)
        self._done: dict[tuple[int, int], float] = {}
        self.longest_sync = 0.0

    def create(self, place: str) -> int:
        handle = super().create(place)
        self._dirty.pop(handle, None)
        return handle

    def write(self, handle: int, data: bytes | memoryview) -> None:
        super().write(handle, data)
        self._dirty[handle] += len(data)

    def begin_write_back(self, handle: int, begin: int, count: int) -> None:
        self._dirty[handle] -= count
        self._done[handle, begin] = self._writes.begin(count)

    def await_write_back(self, handle: int, begin: int, count: int) -> None:  # noqa: ARG002  # as it was begun
        _sleep_until(self._done.pop((handle, begin)))

    def sync(self, handle: int) -> None:
        begun = time.monotonic()
        _sleep_until(self._writes.begin(self._dirty.pop(handle, 0)))
        self.longest_sync = max(self.longest_sync, time.monotonic() - begun)
        super().sync(handle)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
