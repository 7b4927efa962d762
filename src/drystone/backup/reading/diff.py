"""What differs between two backups, or between a backup and a device, in ranges of bytes.

Two backups of one repository are compared by their digests: first those of segments, which the manifests hold, then
those of chunks, so that only what differs costs. Others, of other chunk sizes or from elsewhere, are compared by their
bytes where one of them is not zeros. A device is read once, and its chunks are held against the map's digests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from drystone.backup.pipeline import Progress, ordered
from drystone.backup.reading.chunks import BackupChunks
from drystone.backup.reading.image import CachedImage, Image
from drystone.backup.reading.zeros import is_zero
from drystone.backup.tuning import Tuning
from drystone.kernel.blockdev import BlockDevice, aligned_buffer

FINE = 4096
"""Bytes: how exactly bytes are compared."""

_WINDOW = 4 << 20
"""Bytes that are compared at once; a multiple of every chunk."""

_CHUNKS = 1024
"""Chunks whose leaves are compared at once where segments cannot be."""

Range = tuple[int, int]
"""(offset, length) in bytes."""


def diff_backups(left: CachedImage, right: CachedImage, *, tuning: Tuning, exact: bool = False) -> Iterator[Range]:
    """The ranges in which two images differ, ascending and apart; what only the larger one has is one of them.

    :param exact: to 4096 bytes, for which the chunks that differ are read; otherwise to whole chunks where that is
        known without reading them.

    :raises DamagedError: stored bytes that had to be read are wrong.
    """
    size = min(left.size, right.size)
    if _are_alike(left.chunks, right.chunks):
        assert isinstance(left.chunks, BackupChunks)
        assert isinstance(right.chunks, BackupChunks)
        rough = _compare_maps(left.chunks, right.chunks, size)
        whole = size if left.size == right.size else size // left.chunks.chunk_size * left.chunks.chunk_size
        found = _refine(left, right, rough, 0 if exact else whole, tuning)
    else:
        found = _refine(left, right, _both_extents(left, right, size), 0, tuning)
    yield from _joined(_with_tail(found, size, max(left.size, right.size)))


def diff_device(
    image: CachedImage, device: BlockDevice, *, tuning: Tuning, progress: Progress, exact: bool = False
) -> Iterator[Range]:
    """The ranges in which an open device or file differs from an image, as `diff_backups`. All of it is read.

    :raises DamagedError: the map is damaged, or with `exact` a chunk that differs. :raises KernelError: a read failed.
    """
    size = min(image.size, device.size)
    chunk = image.chunks.chunk_size

    def compare(offset: int) -> tuple[int, list[Range]]:
        end = min(offset + _WINDOW, size)
        buffer = aligned_buffer(end - offset)
        device.read_into(offset, buffer)
        stored = set(image.chunks.stored(offset // chunk, -(-end // chunk)))
        found: list[Range] = []
        for at in range(offset, end, chunk):
            data = buffer[at - offset : min(at + chunk, end) - offset]
            number = at // chunk
            cut = len(data) < min(chunk, image.size - at)  # the image's chunk is longer
            # Of a chunk that is cut here only the bytes tell.
            same = not cut and image.chunks.matches(number, data.data) if number in stored else is_zero(data)
            if not same:
                found += _compare(at, data, image.read(at, len(data))) if exact or cut else [(at, len(data))]
        return end, found

    def ranges() -> Iterator[Range]:
        ahead = max(1, min(2 * tuning.workers, tuning.memory // (2 * _WINDOW)))
        with (
            ThreadPoolExecutor(tuning.workers, thread_name_prefix="diff") as pool,
            contextlib.closing(ordered(pool, compare, range(0, size, _WINDOW), ahead)) as results,
        ):
            for end, found in results:
                progress(end, size)
                yield from found

    yield from _joined(_with_tail(ranges(), size, max(image.size, device.size)))


def _are_alike(left: object, right: object) -> bool:
    """Whether equal digests of chunks mean equal bytes, at equal places."""
    if not (isinstance(left, BackupChunks) and isinstance(right, BackupChunks)):
        return False
    ids = {each.locator.vault.document.id for each in (left, right)}
    return len(ids) == 1 and left.chunk_size == right.chunk_size


def _compare_maps(left: BackupChunks, right: BackupChunks, size: int) -> Iterator[Range]:
    """Chunks below byte `size` whose leaves differ."""
    chunk = left.chunk_size
    last = -(-size // chunk)
    for first, end in _differing_segments(left, right, last):
        differ = (left.leaves(first, end) != right.leaves(first, end)).any(axis=1)
        for number in (np.flatnonzero(differ) + first).tolist():
            yield number * chunk, min(chunk, size - number * chunk)


def _differing_segments(left: BackupChunks, right: BackupChunks, last: int) -> Iterator[tuple[int, int]]:
    """Runs of chunks below `last` that may differ: first, and one past the last."""
    slots = left.manifest.shape.slots
    if slots != right.manifest.shape.slots:
        yield from ((first, min(first + _CHUNKS, last)) for first in range(0, last, _CHUNKS))
        return
    names = [
        dict(zip(each.manifest.segments["number"].tolist(), map(bytes, each.manifest.segments["digest"]), strict=True))
        for each in (left, right)
    ]
    for number in sorted(names[0].keys() | names[1].keys()):
        if number * slots < last and names[0].get(number) != names[1].get(number):
            yield number * slots, min((number + 1) * slots, last)


def _both_extents(left: Image, right: Image, size: int) -> Iterator[Range]:
    """What is not zeros in one of the images, ascending and apart."""
    waiting = [each.extents(0, size) for each in (left, right)]
    heads = [next(each, None) for each in waiting]
    begin = end = 0
    while known := [each for each in heads if each is not None]:
        lowest = min(known)
        which = heads.index(lowest)
        heads[which] = next(waiting[which], None)
        offset, length = lowest
        if offset > end:
            if end > begin:
                yield begin, end - begin
            begin = offset
        end = max(end, offset + length)
    if end > begin:
        yield begin, end - begin


def _refine(
    left: Image, right: Image, ranges: Iterable[Range], whole: int, tuning: Tuning
) -> Generator[Range, None, None]:
    """Ranges that begin below byte `whole` as they are; of others the parts whose bytes differ."""

    def pieces() -> Iterator[Range]:
        for offset, length in ranges:
            if offset < whole:
                yield offset, length
                continue
            for at in range(offset, offset + length, _WINDOW):
                yield at, min(_WINDOW, offset + length - at)

    def compare(piece: Range) -> list[Range]:
        offset, length = piece
        if offset < whole:
            return [piece]
        return _compare(offset, np.frombuffer(left.read(offset, length), np.uint8), right.read(offset, length))

    ahead = max(1, min(2 * tuning.workers, tuning.memory // (4 * _WINDOW)))
    with (
        ThreadPoolExecutor(tuning.workers, thread_name_prefix="diff") as pool,
        contextlib.closing(ordered(pool, compare, pieces(), ahead)) as results,
    ):
        for found in results:
            yield from found


def _compare(offset: int, left: NDArray[np.uint8], right: bytes) -> list[Range]:
    """The blocks of FINE bytes, counted from `offset`, in which two pieces of equal length differ."""
    differ = left != np.frombuffer(right, dtype=np.uint8)
    starts = np.arange(0, len(differ), FINE)
    blocks = np.flatnonzero(np.add.reduceat(differ, starts) if len(differ) else differ)
    return [(offset + at * FINE, min(FINE, len(differ) - at * FINE)) for at in blocks.tolist()]


def _with_tail(ranges: Iterable[Range], size: int, larger: int) -> Iterator[Range]:
    yield from ranges
    if larger > size:
        yield size, larger - size


def _joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Neighbours as one."""
    begin = end = -1
    for offset, length in ranges:
        if offset != end:
            if end > begin:
                yield begin, end - begin
            begin = offset
        end = offset + length
    if end > begin:
        yield begin, end - begin
