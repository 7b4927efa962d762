"""Restoring in place: the target is read, and only what differs from the backup is written.

What is read of the target is held against the map's digests, so nothing that is right already is fetched.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.damage import Damage, Damages
from drystone.backup.reading.image import Chunks
from drystone.backup.reading.target import StandingTarget
from drystone.backup.reading.zeros import is_zero
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError
from drystone.kernel.blockdev import aligned_buffer

_BATCH = 4 << 20
"""Bytes of the target that a thread reads at once; a multiple of every chunk."""


@dataclass(frozen=True, slots=True)
class InPlace:
    """What a restore in place did. Bytes: `compared` in all, `written` because they differed, `zeroed` likewise.

    :ivar damages: ranges that are damaged in the backup, and were left as they are in the target.
    """

    compared: int
    written: int
    zeroed: int
    damages: Damages


def restore_in_place(
    chunks: Chunks, target: StandingTarget, *, skip_damaged: bool, tuning: Tuning, progress: Progress
) -> InPlace:
    """Make the target the backup's image; flushed when this returns.

    :param skip_damaged: go on past damage.

    :raises DamagedError: stored bytes are wrong that differ from the target's; nothing of that chunk was written.
    """
    size = chunks.size
    own = threading.local()
    done = written = zeroed = 0
    damages: Damages = []

    def work(offset: int) -> InPlace:
        if not hasattr(own, "buffer"):
            own.buffer = aligned_buffer(_BATCH)
        data = own.buffer[: min(_BATCH, size - offset)]
        target.read_into(offset, data)
        return _mend(chunks, target, offset, data, skip_damaged)

    progress(0, size)
    with target, ThreadPoolExecutor(tuning.workers, thread_name_prefix="restore") as pool:
        ahead = max(1, min(2 * tuning.workers, tuning.memory // (4 * _BATCH)))
        with contextlib.closing(ordered(pool, work, range(0, size, _BATCH), ahead)) as results:
            for each in results:
                done += each.compared
                written += each.written
                zeroed += each.zeroed
                damages += each.damages
                progress(done, size)
    progress(size, size)
    return InPlace(done, written, zeroed, damages)


def _mend(chunks: Chunks, target: StandingTarget, offset: int, data: NDArray[np.uint8], skip_damaged: bool) -> InPlace:
    """Write what differs in the bytes `data` of the target at `offset`, which begin and end with chunks."""
    size = chunks.chunk_size
    first, count = offset // size, -(-len(data) // size)
    damages: Damages = []
    try:
        stored = set(chunks.stored(first, first + count))
    except DamagedError as error:  # the map: nobody knows what is right here
        if not skip_damaged:
            raise
        return InPlace(len(data), 0, 0, [Damage(offset, len(data), error.message)])
    wrong, zeroed, written = [], 0, 0
    for at in range(count):
        piece = data[at * size : (at + 1) * size]
        if first + at in stored:
            if not chunks.matches(first + at, piece.data):
                wrong.append(first + at)
        elif not is_zero(piece):
            target.zero(offset + at * size, len(piece))
            zeroed += len(piece)

    def take(number: int, plain: bytes | memoryview) -> None:
        nonlocal written
        target.write(number * size, plain)
        written += len(plain)

    def fail(number: int, error: DamagedError) -> None:
        if not skip_damaged:
            raise error
        damages.append(Damage(number * size, min(size, chunks.size - number * size), error.message))

    chunks.fetch(wrong, take, fail)
    return InPlace(len(data), written, zeroed, damages)
