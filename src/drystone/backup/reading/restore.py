"""Restoring: from the manifest's root down to every byte, nothing is taken on trust.

The root was checked against the segment digests when the manifest was read; each segment of the map is checked against
its digest, each chunk against its leaf. So what is written is what was backed up, or an error says where it is not.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from drystone.backup.format.manifest import Manifest
from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.damage import Damage, Damages
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment
from drystone.backup.reading.target import Target
from drystone.backup.reading.walk import Stretch, Take, present_runs, read_slots, read_stretch, stretches
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError
from drystone.kernel.blockdev import aligned_buffer

_GATHERED = 3 << 20
"""Bytes of chunks that are written at once."""
_OWN = threading.local()


def restore_backup(
    locator: Locator,
    manifest: Manifest,
    target: Target,
    *,
    tuning: Tuning,
    progress: Progress,
    skip_damaged: bool = False,
) -> Damages:
    """Write the image to `target`, which is flushed when this returns.

    :param skip_damaged: go on past damage.
    :returns: with `skip_damaged` the ranges that are damaged, ascending: nothing was written there.

    :raises DamagedError: stored bytes are wrong; nothing of the chunk in question was written.
    """
    total = manifest.head.chunks * manifest.head.chunk_size
    done = 0
    damages: Damages = []
    lost = damages if skip_damaged else None
    progress(0, total)
    with target, ThreadPoolExecutor(tuning.workers, thread_name_prefix="restore") as pool:
        fetch = partial(_fetch, locator, manifest, target.write, skip_damaged)
        results = ordered(pool, fetch, _restored(locator, manifest, target, lost), tuning.fetches)
        with contextlib.closing(results):
            for size, found in results:
                damages += found
                done += size
                progress(min(done, total), total)
        progress(total, total)
    return sorted(damages, key=lambda each: each.offset)


class Gathered:
    """Chunks that follow one another, handed on together: one long write waits once. After an error, none are.

    :param take: as in `read_stretch`; what it is given is aligned, and the caller's own again when it returns.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._begin = self._length = 0
        if not hasattr(_OWN, "buffer"):
            _OWN.buffer = aligned_buffer(_GATHERED)
        self._buffer: memoryview = _OWN.buffer.data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()

    def add(self, offset: int, plain: bytes | memoryview) -> None:
        """A chunk at an offset of the image. What cannot be joined with those before is handed on."""
        if offset != self._begin + self._length or self._length + len(plain) > len(self._buffer):
            self._flush()
            self._begin = offset
        if len(plain) > len(self._buffer):
            self._take(offset, plain)
            self._begin += len(plain)
            return
        self._buffer[self._length : self._length + len(plain)] = plain
        self._length += len(plain)

    def _flush(self) -> None:
        begin, length = self._begin, self._length
        self._begin, self._length = begin + length, 0
        if length:
            self._take(begin, self._buffer[:length])


def _fetch(
    locator: Locator, manifest: Manifest, take: Take, skip_damaged: bool, stretch: Stretch
) -> tuple[int, Damages]:
    """Bytes that were handed on, and with `skip_damaged` what is damaged."""
    try:
        with Gathered(take) as gathered:
            return read_stretch(locator, manifest, stretch, gathered.add), []
    except DamagedError:
        if not skip_damaged:
            raise
    size = 0

    def count(offset: int, plain: bytes | memoryview) -> None:
        nonlocal size
        take(offset, plain)
        size += len(plain)

    damages = read_slots(locator, manifest, stretch, count)
    return size, damages


def _restored(locator: Locator, manifest: Manifest, target: Target, lost: Damages | None) -> Iterator[Stretch]:
    """Every stretch of the image; what lies between is zeroed on the way.

    :param lost: takes the segments whose map is damaged; None: they raise DamagedError.
    """
    shape = manifest.shape
    span = shape.slots * shape.chunk_size
    hole = 0
    for number in manifest.segments["number"].tolist():
        first = number * shape.slots
        try:
            segment = read_segment(locator, manifest, number)
        except DamagedError as error:
            if lost is None:
                raise
            if number * span > hole:
                target.zero(hole, number * span - hole)
            hole = min(shape.size, (number + 1) * span)
            lost.append(Damage(number * span, hole - number * span, error.message))
            continue
        assert segment is not None
        for begin, end in present_runs(segment):
            at = (first + begin) * shape.chunk_size
            if at > hole:
                target.zero(hole, at - hole)
            hole = min(shape.size, (first + end) * shape.chunk_size)
        yield from stretches(segment, locator)
    if hole < shape.size:
        target.zero(hole, shape.size - hole)
