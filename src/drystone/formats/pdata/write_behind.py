"""Writing blocks while the next ones are made: a thread that does nothing but write, a megabyte at a time.

A direct write waits for the disk, and gives up the interpreter's lock while it waits; so the two overlap. Writers of
trees write few blocks at a time; those are gathered first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockDisk

_AT_ONCE = 256
"""Blocks written together."""

_UNDER_WAY = 2
"""Writes that may wait for the thread; more make the caller wait."""


class WriteBehind:
    """A BlockDisk over `disk`, to be used in a `with` statement: at its end all that was given is written, or an error
    was raised. What a write fails with is raised by a later call. Durable after flush(), as ever.
    """

    def __init__(self, disk: BlockDisk) -> None:
        self._disk = disk
        self._threads: ThreadPoolExecutor | None = None
        self._writing: deque[Future[None]] = deque()
        self._gathered: list[tuple[NDArray[np.uint64], NDArray[np.uint8]]] = []
        self._count = 0
        self._lowest: int | None = None
        """The lowest block that may not be on the disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._settle()
        finally:
            if self._threads is not None:
                self._threads.shutdown()

    @property
    def size(self) -> int:
        """Bytes of the disk."""
        return self._disk.size

    def read_blocks(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """As the disk does; what was written before is there."""
        if self._lowest is not None and len(numbers) and int(numbers.max()) >= self._lowest:
            self._settle()
        return self._disk.read_blocks(numbers)

    def read_bytes(self, numbers: Sequence[int]) -> memoryview:
        """As the disk does; what was written before is there."""
        if self._lowest is not None and numbers and max(numbers) >= self._lowest:
            self._settle()
        return self._disk.read_bytes(numbers)

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        """Take blocks to be written; neither array is changed by the caller afterwards."""
        if not len(numbers):
            return
        lowest = int(numbers.min())
        self._lowest = lowest if self._lowest is None else min(self._lowest, lowest)
        self._gathered.append((numbers, blocks))
        self._count += len(numbers)
        if self._count >= _AT_ONCE:
            self._send()

    def flush(self) -> None:
        """Return when all is durable."""
        self._settle()
        self._disk.flush()

    def _send(self) -> None:
        if not self._gathered:
            return
        numbers, blocks = (np.concatenate(each) for each in zip(*self._gathered, strict=True))
        self._gathered, self._count = [], 0
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1)
        self._writing.append(self._threads.submit(self._disk.write_blocks, numbers, blocks))
        while len(self._writing) > _UNDER_WAY:
            self._writing.popleft().result()

    def _settle(self) -> None:
        """Have everything written."""
        self._send()
        while self._writing:
            self._writing.popleft().result()
        self._lowest = None
