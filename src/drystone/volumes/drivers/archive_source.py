"""A snapshot's archive as the source of a backup: its holes are not read."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drystone.backup.ranges import Ranges
from drystone.base.errors import DamagedError, UsageError
from drystone.volumes.drivers.holes import iter_data


class ArchiveSource:
    """The file at `path`, which must not change while it is read. Opened by `with`."""

    relative = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> Self:
        self._handle = os.open(self._path, os.O_RDONLY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _opened(self) -> int:
        if self._handle is None:
            raise UsageError(f"{self._path} is not open", hint="use the source in a with statement")
        return self._handle

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._opened()).st_size

    def extents(self) -> Ranges:
        """What is no hole."""
        handle = self._opened()
        return np.array(list(iter_data(handle, 0, self.size)), dtype=np.uint64).reshape(-1, 2)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` from byte `offset` on. :raises DamagedError: the file has become shorter."""
        view = buffer.data
        while view:
            count = os.preadv(self._opened(), [view], offset)
            if not count:
                raise DamagedError(f"{self._path} ends before byte {offset + len(view)}")
            view = view[count:]
            offset += count
