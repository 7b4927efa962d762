"""The proof of a delta: chunks that the source says have not changed, read again and compared with the base's map.

A delta that leaves out a change would spoil each backup that is built upon it, and nothing else would notice. So with
every incremental some chunks outside of it are read: 32, or a sixteenth as many as the delta has, whichever is more;
chunks of zeros too. Where k of N chunks outside the delta did change, n read ones miss all of them with the probability
C(N - k, n) / C(N, n), which is at most (1 - k / N)^n: of a delta that leaves out a tenth, 32 chunks miss 3.4%, and ten
such backups in a row 2e-15. Which chunks they are follows from a seed; a run takes a new one, so that in time all are
looked at.

A source that is in use may have been written to since it told its changes: it is asked what was written meanwhile, and
a chunk among that is no lie. It is in the next backup.

Cost: n chunks of the source, and the segments of the base's map that they lie in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.digest import NOTHING, Hasher
from drystone.backup.format.manifest import Shape
from drystone.backup.format.segment import Segment
from drystone.backup.pipeline import ordered
from drystone.backup.ranges import Runs
from drystone.backup.reading.zeros import is_zero
from drystone.backup.source import Source, SourceInUse
from drystone.base.errors import DamagedError
from drystone.kernel.blockdev import aligned_buffer

LEAST = 32
"""Chunks."""
SHARE = 16
"""One chunk for so many of the delta."""

ReadSegment = Callable[[int], Segment | None]
"""A segment of the base's map by its number; None for one of zeros."""


def choose_sample(runs: Runs, chunks: int, seed: int) -> NDArray[np.int64]:
    """Chunks outside `runs` of an image of `chunks` chunks, ascending; all of them where there are few."""
    lengths = runs[:, 1] - runs[:, 0]
    delta = int(lengths.sum())
    outside = chunks - delta
    count = min(outside, max(LEAST, delta // SHARE))
    ranks = np.sort(np.random.default_rng(seed).choice(outside, count, replace=False)) if count else np.empty(0, int)
    # A chunk's number is its rank among those outside and the chunks of all runs before it.
    before = np.concatenate(([0], np.cumsum(lengths)))
    found: NDArray[np.int64] = ranks + before[np.searchsorted(runs[:, 0] - before[:-1], ranks, side="right")]
    return found


def check_sample(
    source: Source,
    shape: Shape,
    read_segment: ReadSegment,
    hasher: Hasher,
    sample: NDArray[np.int64],
    pool: Executor,
    ahead: int = 4,
) -> None:
    """Compare chunks with the base, several at once in the threads of `pool`. All of the delta has been read before.

    Memory: `ahead` chunks.

    :raises DamagedError: one is another, and was not written meanwhile; `offset` and `length` (bytes) say which. And
        what the reads raise.
    """

    def look(group: tuple[int, list[int]]) -> list[tuple[int, int]]:
        number, members = group
        base = read_segment(number)
        buffer = aligned_buffer(shape.chunk_size)
        differing = []
        for chunk in members:
            data = buffer[: shape.length_of(chunk)]
            source.read_into(chunk * shape.chunk_size, data)
            leaf = NOTHING if is_zero(data) else hasher.digest(data.data)
            if leaf != (NOTHING if base is None else base.leaf(chunk - number * shape.slots)):
                differing.append((chunk * shape.chunk_size, len(data)))
        return differing

    differing = [each for found in ordered(pool, look, _by_segment(sample, shape.slots), ahead) for each in found]
    if not differing:
        return
    meanwhile = source.written_since() if isinstance(source, SourceInUse) else np.empty((0, 2), dtype=np.uint64)
    for offset, length in differing:
        if not ((meanwhile[:, 0] < offset + length) & (meanwhile.sum(axis=1) > offset)).any():
            raise _differs(offset, length)


def _by_segment(sample: NDArray[np.int64], slots: int) -> Iterator[tuple[int, list[int]]]:
    if not len(sample):
        return
    numbers = sample // slots
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    for at, part in zip(begins.tolist(), np.split(sample, begins[1:]), strict=True):
        yield int(numbers[at]), part.tolist()


def _differs(offset: int, length: int) -> DamagedError:
    return DamagedError(
        f"the source does not tell all that changed: bytes {offset} to {offset + length} are not those of the backup "
        "that this one builds upon",
        hint="nothing was kept of it; make a full backup (--full), and verify the one before",
        offset=offset,
        length=length,
    )
