"""Room that is kept for a full disk: what removes things must write to the index first, which takes some."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from drystone.fleet.disk import places
from drystone.fleet.disk.health import free_bytes

SIZE = 4 << 20
"""Bytes: some thousand removals."""
_ROOMY = 8 * SIZE


class Ballast:
    """A file of SIZE bytes on a disk, that is given up when the disk is full. The constructor has no effects."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / places.BALLAST
        self._guard = threading.Lock()
        self._is_kept = False

    def keep(self) -> None:
        """Have the file, if there is room; whoever calls need not know of failures."""
        if self._is_kept:
            return
        with self._guard, contextlib.suppress(OSError):
            if not self._is_kept and self._path.exists() and self._path.stat().st_blocks * 512 >= SIZE:
                self._is_kept = True
            if self._is_kept or free_bytes(self._root) < _ROOMY:
                return
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(handle, 0, SIZE)
                self._is_kept = True
            finally:
                os.close(handle)
                if not self._is_kept:
                    self._path.unlink()

    def let_go(self) -> bool:
        """Give the room up; False when there was none."""
        with self._guard, contextlib.suppress(OSError):
            self._is_kept = False
            self._path.unlink()
            return True
        return False
