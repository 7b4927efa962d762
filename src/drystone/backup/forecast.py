"""What a backup of so many byte ranges would read and write at most, before it is made.

Read is exact for a source that stays as it is: whole chunks, as the engine takes them. Written is a bound: as if
nothing could be compressed and no chunk were known. The repository's list of its backups, which is written anew each
time, is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drystone.backup.format.cipher import TAG
from drystone.backup.format.manifest import PACKS, SEGMENTS, Shape
from drystone.backup.format.pack import HEAD, HEADER, INDEX, TRAILER
from drystone.backup.ranges import Ranges, Runs, chunk_runs, clip
from drystone.backup.writing.sample import LEAST, SHARE

_RECORD = HEAD + TAG + INDEX.itemsize
"""Bytes of a chunk in a pack beside its own, and its row in the pack's index."""
_SLOT = 32 + 3 * 4
"""Bytes of a chunk in its map segment: the digest, and where it is."""
_PACK = HEADER + TRAILER + TAG
_PACK_SMALLEST = 1 << 20
"""Packs are larger; the bound takes them for so small."""
_FRONT = 64 << 10
"""Bytes of what each backup has once."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes.

    :ivar read: of the source. :ivar sampled: read besides, at most, to prove that what is left out is as it was.
    :ivar written: to the store, at most.
    """

    read: int
    sampled: int
    written: int


def forecast(extents: Ranges, shape: Shape, *, relative: bool) -> Forecast:
    """What backing these ranges of an image up comes to.

    :param relative: they are what differs from the last backup, of which the rest is taken.
    """
    runs = chunk_runs(clip(extents, shape.size), shape.chunk_size)
    chunks = int((runs[:, 1] - runs[:, 0]).sum())
    short = shape.chunks * shape.chunk_size - shape.size if len(runs) and runs[-1, 1] == shape.chunks else 0
    read = chunks * shape.chunk_size - short
    sample = min(shape.chunks - chunks, max(LEAST, chunks // SHARE)) if relative else 0
    segments = chunk_runs(_bytes(runs, shape), shape.chunk_size * shape.slots)
    touched = int((segments[:, 1] - segments[:, 0]).sum())
    maps = touched * (shape.slots * _SLOT + _RECORD) + shape.segments * SEGMENTS.itemsize
    packs = read // _PACK_SMALLEST + 2
    written = read + chunks * _RECORD + maps + packs * (_PACK + PACKS.itemsize) + _FRONT
    return Forecast(read, sample * shape.chunk_size, written)


def _bytes(runs: Runs, shape: Shape) -> Ranges:
    """Runs of chunks as byte ranges."""
    return (np.stack((runs[:, 0], runs[:, 1] - runs[:, 0]), axis=1) * shape.chunk_size).astype(np.uint64)
