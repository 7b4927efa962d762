"""Images in memory as sources of backups: whole, or told as changes since an earlier state."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from drystone.backup.ranges import Ranges


class MemorySource:
    """Bytes as an image. `changed` (byte ranges) makes it a relative source; otherwise all of it is told.

    :param identity: what tells that it is the same again; "" for nothing.
    :ivar reads: (offset, length) of every read.
    """

    def __init__(
        self, image: bytes | bytearray, changed: list[tuple[int, int]] | None = None, identity: str = ""
    ) -> None:
        self.identity = identity
        self._image = np.frombuffer(bytes(image), dtype=np.uint8)
        self._changed = changed
        self.reads: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return len(self._image)

    @property
    def relative(self) -> bool:
        """Whether changes are told."""
        return self._changed is not None

    def extents(self) -> Ranges:
        """The changes, or one range."""
        ranges = [(0, self.size)] if self._changed is None else self._changed
        return np.array(ranges, dtype=np.uint64).reshape(-1, 2)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """A copy."""
        self.reads.append((offset, len(buffer)))
        assert offset + len(buffer) <= self.size, "a read outside the image"
        buffer[:] = self._image[offset : offset + len(buffer)]


class MemoryTarget:
    """What a restore wrote, in memory: a target that keeps count. It begins as `old` bytes."""

    def __init__(self, old: bytes, *, zeroed: bool = False) -> None:
        self.data = bytearray(old)
        self.zeroed = zeroed
        self.flushed = False
        self.written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.flushed = kind is None

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Inside the image, or it is a defect."""
        assert offset + len(data) <= len(self.data)
        self.data[offset : offset + len(data)] = data
        self.written += len(data)

    def zero(self, offset: int, length: int) -> None:
        """Zeros, unless they are there."""
        assert offset + length <= len(self.data)
        if not self.zeroed:
            self.data[offset : offset + length] = bytes(length)
