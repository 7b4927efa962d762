"""Reading the next blocks while the ones before are worked on: a thread or two that do nothing but read.

A direct read waits for the disk, and a read call gives up the interpreter's lock while it waits; so the two overlap.
With one batch alone no thread is started.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

from drystone.formats.pdata.blocks import BlockReader

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

Batch = TypeVar("Batch")

_THREADS = 2
"""Reads under way at once."""


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
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS) as threads:
        reading: deque[tuple[Batch, Future[NDArray[np.uint8]]]] = deque()
        for batch in (first, second):
            reading.append((batch, threads.submit(reader.read_blocks, list_blocks(batch))))
        while reading:
            following = next(coming, None)
            if following is not None:
                reading.append((following, threads.submit(reader.read_blocks, list_blocks(following))))
            batch, blocks = reading.popleft()
            yield batch, blocks.result()
