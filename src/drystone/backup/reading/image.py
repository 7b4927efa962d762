"""The image of a backup, readable at any place: for mounting, exporting and comparing.

Chunks are fetched when they are asked for and kept in a bounded cache; where they come from checks them
(`reading/chunks.py`, `convoy/blocks.py`). Whoever reads on where a read ended is read ahead for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self

from drystone.backup.reading.chunk_cache import ChunkCache, Plain
from drystone.base.errors import DamagedError, DrystoneError, InternalError, UsageError

CACHE = 64 << 20
"""Bytes of chunks that an image keeps by default."""

_AHEAD = 8 << 20
"""Bytes that are fetched ahead of a reader that goes on where it ended."""

_STREAMS = 16
"""Readers that are recognised at once."""

_WINDOW = 1024
"""Chunks that are looked at together for extents."""


class Image(Protocol):
    """The bytes of a backup. Used by several threads at once."""

    @property
    def size(self) -> int:
        """Bytes of the image."""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from byte `offset` on, verified.

        :raises DamagedError: stored bytes are wrong; the fact `offset` says where the damage begins in the image.
        :raises UsageError: the range is not inside the image.
        """

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """(offset, length) in bytes of what may be other than zeros within a range, ascending, apart.

        :raises DamagedError: the map is damaged there.
        """


class Chunks(Protocol):
    """Pieces of an image, counted from 0, of `chunk_size` bytes each; the last one may be shorter. For many threads."""

    @property
    def size(self) -> int:
        """Bytes of the image."""

    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk."""

    def stored(self, first: int, last: int) -> list[int]:
        """Those of the chunks [first, last) that are not zeros, ascending. :raises DamagedError: nobody knows."""

    def matches(self, number: int, data: memoryview) -> bool:
        """Whether `data` has the digest of a stored chunk. :raises DamagedError: nobody knows."""

    def fetch(
        self, numbers: list[int], take: Callable[[int, Plain], None], fail: Callable[[int, DamagedError], None]
    ) -> None:
        """Hand every one of these stored chunks (ascending) to `take`, checked, or its damage to `fail`.

        :raises DrystoneError: the store failed; the rest was handed to neither.
        """


class CachedImage:
    """An `Image` out of chunks. It has threads: close it when done.

    :param cache: bytes of chunks that are kept; two chunks at least.
    :param threads: that fetch ahead.
    """

    def __init__(self, chunks: Chunks, *, cache: int = CACHE, threads: int = 2) -> None:
        self.chunks = chunks
        self._cache = ChunkCache(max(cache, 2 * chunks.chunk_size))
        self._count = -(-chunks.size // chunks.chunk_size)
        self._ahead = max(1, min(_AHEAD, cache // 4) // chunks.chunk_size)
        self._recent: deque[int] = deque(maxlen=_STREAMS)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="image")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what is being fetched is waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.chunks.size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from byte `offset` on, verified. What is not kept is fetched by the caller's thread."""
        check_range(self.size, offset, length)
        if not length:
            return b""
        size = self.chunks.chunk_size
        first, last = offset // size, (offset + length - 1) // size
        follows = self._note(first, last)
        found, missing = self._cache.claim(self.chunks.stored(first, last + 1))
        if follows:
            self._read_ahead(last + 1)
        self._fetch(missing)
        parts = []
        for number in range(first, last + 1):
            begin = max(offset - number * size, 0)
            end = min(offset + length - number * size, size)
            if number not in found:
                parts.append(memoryview(bytes(end - begin)))
                continue
            got = found[number]
            parts.append(memoryview(got.result() if isinstance(got, Future) else got)[begin:end])
        return b"".join(parts)

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """(offset, length) of runs of chunks that are not zeros, cut to the range."""
        check_range(self.size, offset, length)
        size = self.chunks.chunk_size
        stop = -(-(offset + length) // size) if length else 0
        begin = end = -1
        for window in range(offset // size, stop, _WINDOW):
            for number in self.chunks.stored(window, min(window + _WINDOW, stop)):
                if number != end:
                    if end >= 0:
                        yield _cut(begin * size, end * size, offset, length)
                    begin = number
                end = number + 1
        if end >= 0:
            yield _cut(begin * size, end * size, offset, length)

    def _note(self, first: int, last: int) -> bool:
        """Remember where a reader is; whether it came to new chunks behind where one was before."""
        with self._lock:
            follows = first == 0 or any(each in self._recent for each in (first - 1, first))
            new = last not in self._recent
            if new:
                self._recent.append(last)
        return follows and new

    def _read_ahead(self, first: int) -> None:
        """Have the threads fetch chunks from `first` on, if nobody does."""
        try:
            ahead = self.chunks.stored(min(first, self._count), min(first + self._ahead, self._count))
        except DrystoneError:
            return  # whoever comes to read there is told; what this reader has claimed must be fetched all the same
        _, missing = self._cache.claim(ahead)
        if not missing:
            return

        def give_up(work: Future[None]) -> None:
            if work.cancelled():
                for number in missing:
                    self._cache.fail(number, UsageError("the image was closed"))

        try:
            self._pool.submit(self._fetch, missing).add_done_callback(give_up)
        except RuntimeError as closed:
            for number in missing:
                self._cache.fail(number, closed)

    def _fetch(self, claimed: list[int]) -> None:
        """Fetch claimed chunks; each is fulfilled or failed when this returns."""
        waiting = dict.fromkeys(claimed)

        def take(number: int, plain: Plain) -> None:
            del waiting[number]
            # A view into all that was fetched would keep that in memory.
            self._cache.fulfil(number, bytes(plain))

        def fail(number: int, error: DamagedError) -> None:
            del waiting[number]
            self._cache.fail(number, error)

        left: BaseException = InternalError("a chunk was neither fetched nor failed")
        try:
            self.chunks.fetch(claimed, take, fail)
        except BaseException as error:  # noqa: BLE001  # a supervisor: it is handed to all who wait for these chunks
            left = error
        for number in waiting:
            self._cache.fail(number, left)


def check_range(size: int, offset: int, length: int) -> None:
    """:raises UsageError: the range is not inside an image of `size` bytes."""
    if offset < 0 or length < 0 or offset + length > size:
        raise UsageError(f"bytes {offset} to {offset + length} are not within an image of {size} bytes")


def _cut(begin: int, end: int, offset: int, length: int) -> tuple[int, int]:
    """The part of [begin, end) that is within a range, as (offset, length)."""
    begin, end = max(begin, offset), min(end, offset + length)
    return begin, end - begin
