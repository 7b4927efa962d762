"""Reading the next blocks while the ones before are worked on: a thread or two that do nothing but read.

A direct read waits for the disk, and a read call gives up the interpreter's lock while it waits; so the two overlap.
With one batch alone no thread is started.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from drystone.formats.pdata.blocks import BlockReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Batch = TypeVar("Batch")


_THREADS = 2
"""Reads under way at once."""


class _Read:
    """One read, asked for or done."""

    def __init__(self, numbers: NDArray[np.uint64]) -> None:
        self._numbers = numbers
        self._blocks: NDArray[np.uint8] | None = None
        self._failure: BaseException | None = None
        self._pending = threading.Lock()
        self._pending.acquire()

    def run(self, reader: BlockReader) -> None:
        """Read; called by a thread."""
        try:
            self._blocks = reader.read_blocks(self._numbers)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised where the blocks are asked for
            self._failure = error
        self._pending.release()

    def take(self) -> NDArray[np.uint8]:
        """The blocks, once they are there; they are not kept. :raises OSError: the device failed."""
        self._pending.acquire()
        if self._failure is not None:
            raise self._failure
        blocks, self._blocks = self._blocks, None
        assert blocks is not None
        return blocks


class _Threads:
    """Threads that read what they are given. concurrent.futures has such, and takes 10 ms to import."""

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self._asked: SimpleQueue[_Read | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def start(self, numbers: NDArray[np.uint64]) -> _Read:
        """Have these blocks read."""
        read = _Read(numbers)
        self._asked.put(read)
        return read

    def close(self) -> None:
        """End; what was asked for is read first."""
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (read := self._asked.get()) is not None:
            read.run(self._reader)


def read_ahead(
    reader: BlockReader, batches: Iterable[Batch], list_blocks: Callable[[Batch], NDArray[np.uint64]]
) -> Generator[tuple[Batch, NDArray[np.uint8]], None, None]:
    """Each batch with its blocks, in order. `batches` is asked for two more than were given out.

    :param list_blocks: the numbers of the blocks of a batch.
    :raises OSError: the device failed; when the batch is given out that was to be read.
    """
    coming = iter(batches)
    first = next(coming, None)
    if first is None:
        return
    second = next(coming, None)
    if second is None:
        yield first, reader.read_blocks(list_blocks(first))
        return
    threads = _Threads(reader)
    try:
        reading = deque((batch, threads.start(list_blocks(batch))) for batch in (first, second))
        while reading:
            following = next(coming, None)
            if following is not None:
                reading.append((following, threads.start(list_blocks(following))))
            batch, read = reading.popleft()
            yield batch, read.take()
    finally:
        threads.close()
