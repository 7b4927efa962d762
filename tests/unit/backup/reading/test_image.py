"""Images read at any place: the right bytes, each chunk fetched once, bounded memory, damage named."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.reading.image import CachedImage
from drystone.base.errors import DamagedError, InternalError, UnavailableError, UsageError

CHUNK = 4096


class MemoryChunks:
    """Chunks out of memory, that remember what was fetched."""

    chunk_size = CHUNK

    def __init__(self, data: bytes, damaged: set[int] | None = None) -> None:
        self.data = data
        self.damaged = damaged or set()
        self.fetched: list[int] = []
        self.failing = False
        self.hold = threading.Event()
        self.hold.set()

    @property
    def size(self) -> int:
        return len(self.data)

    def part(self, number: int) -> bytes:
        return self.data[number * CHUNK : (number + 1) * CHUNK]

    def stored(self, first: int, last: int) -> list[int]:
        return [each for each in range(first, last) if self.part(each).strip(b"\0")]

    def matches(self, number: int, data: memoryview) -> bool:
        return self.part(number) == data

    def fetch(
        self,
        numbers: list[int],
        take: Callable[[int, bytes | memoryview], None],
        fail: Callable[[int, DamagedError], None],
    ) -> None:
        self.hold.wait(120)
        for number in numbers:
            self.fetched.append(number)
            if self.failing:
                raise UnavailableError("the store is away")
            if number in self.damaged:
                fail(number, DamagedError("wrong", offset=number * CHUNK))
            else:
                take(number, memoryview(self.part(number)))


def make(chunks: int, *, holes: set[int] | None = None, rest: int = 0) -> bytes:
    rng = random.Random(chunks)
    parts = [bytes(CHUNK) if each in (holes or set()) else rng.randbytes(CHUNK) for each in range(chunks)]
    return b"".join(parts) + rng.randbytes(rest)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 12),
    st.integers(0, 100),
    st.sets(st.integers(0, 11)),
    st.integers(0, 6 * CHUNK),
    st.lists(st.tuples(st.integers(0, 13 * CHUNK), st.integers(0, 6 * CHUNK)), max_size=12),
)
def test_reads_give_the_bytes(count: int, rest: int, holes: set[int], cache: int, reads: list[tuple[int, int]]) -> None:
    data = make(count, holes=holes, rest=rest)
    with CachedImage(MemoryChunks(data), cache=cache, threads=1) as image:
        for offset, length in reads:
            if offset + length > len(data):
                with pytest.raises(UsageError):
                    image.read(offset, length)
            else:
                assert image.read(offset, length) == data[offset : offset + length]
                found = bytearray(length)
                end = -1
                for begin, size in image.extents(offset, length):
                    assert size > 0
                    assert begin > end
                    end = begin + size
                    found[begin - offset : end - offset] = data[begin:end]
                assert bytes(found) == data[offset : offset + length]


def test_a_sequential_reader_fetches_each_chunk_once_and_ahead() -> None:
    chunks = MemoryChunks(make(64))
    with CachedImage(chunks, cache=64 * CHUNK) as image:
        for at in range(0, 64 * CHUNK, 1024):
            assert image.read(at, 1024) == chunks.data[at : at + 1024]
    assert sorted(chunks.fetched) == list(range(64))


def test_a_reader_that_jumps_is_not_read_ahead_for() -> None:
    chunks = MemoryChunks(make(64))
    with CachedImage(chunks, cache=64 * CHUNK) as image:
        for at in (50, 10, 30):
            image.read(at * CHUNK, 10)
    assert chunks.fetched == [50, 10, 30]


def test_the_cache_is_bounded_and_the_oldest_go() -> None:
    chunks = MemoryChunks(make(64))
    with CachedImage(chunks, cache=4 * CHUNK, threads=1) as image:
        for at in (60, 50, 40, 30, 20):
            image.read(at * CHUNK, 1)
        chunks.fetched.clear()
        image.read(50 * CHUNK, 1)
        image.read(60 * CHUNK, 1)
        assert chunks.fetched == [60]


def test_many_readers_of_one_chunk_fetch_it_once() -> None:
    chunks = MemoryChunks(make(8))
    chunks.hold.clear()
    with CachedImage(chunks) as image, ThreadPoolExecutor(8) as pool:
        results = [pool.submit(image.read, 5 * CHUNK + each, 100) for each in range(8)]
        threading.Timer(0.05, chunks.hold.set).start()
        for each, result in enumerate(results):
            assert result.result() == chunks.data[5 * CHUNK + each :][:100]
    assert chunks.fetched.count(5) == 1


def test_damage_is_told_to_its_reader_alone_and_each_time() -> None:
    chunks = MemoryChunks(make(16), damaged={7})
    with CachedImage(chunks) as image:
        for _ in range(2):
            with pytest.raises(DamagedError) as caught:
                image.read(6 * CHUNK, 2 * CHUNK)
            assert caught.value.facts["offset"] == 7 * CHUNK
        assert image.read(8 * CHUNK, 100) == chunks.data[8 * CHUNK :][:100]
        assert image.read(0, 7 * CHUNK) == chunks.data[: 7 * CHUNK]


def test_a_store_that_comes_back_is_asked_again() -> None:
    chunks = MemoryChunks(make(4))
    with CachedImage(chunks) as image:
        chunks.failing = True
        with pytest.raises(UnavailableError):
            image.read(CHUNK, CHUNK)
        chunks.failing = False
        assert image.read(CHUNK, CHUNK) == chunks.part(1)


def test_a_closed_image_leaves_no_reader_waiting() -> None:
    chunks = MemoryChunks(make(64))
    chunks.hold.clear()
    image = CachedImage(chunks, cache=64 * CHUNK, threads=1)
    pool = ThreadPoolExecutor(1)
    first = pool.submit(image.read, 0, CHUNK)
    threading.Timer(0.05, chunks.hold.set).start()
    assert first.result() == chunks.part(0)
    image.close()
    pool.shutdown()
    assert image.read(40 * CHUNK, CHUNK) == chunks.part(40)


class HeldAhead(MemoryChunks):
    """What is fetched ahead is held up."""

    def fetch(
        self,
        numbers: list[int],
        take: Callable[[int, bytes | memoryview], None],
        fail: Callable[[int, DamagedError], None],
    ) -> None:
        if threading.current_thread().name.startswith("image"):
            self.hold.wait(120)
        for number in numbers:
            take(number, self.part(number))


def test_who_waits_for_what_was_to_be_fetched_ahead_is_told_that_the_image_was_closed() -> None:
    chunks = HeldAhead(make(64))
    chunks.hold.clear()
    image = CachedImage(chunks, cache=64 * CHUNK, threads=1)
    image.read(0, 1)  # the thread is busy ahead of it
    for at in (40, 41):
        image.read(at * CHUNK, 1)  # what is ahead of this waits for the thread
    found, missing = image._cache.claim([42])
    waited_for = found[42]
    assert isinstance(waited_for, Future)
    assert missing == []
    closer = threading.Thread(target=image.close)
    closer.start()
    assert isinstance(waited_for.exception(120), UsageError)
    chunks.hold.set()
    closer.join()


class Unmapped(MemoryChunks):
    """Whose map can be read for the first chunk only."""

    def stored(self, first: int, last: int) -> list[int]:
        if last > 1:
            raise UnavailableError("the store is away")
        return super().stored(first, last)


def test_a_store_that_fails_ahead_of_a_reader_does_not_keep_its_chunk_from_it() -> None:
    chunks = Unmapped(make(4))
    with CachedImage(chunks, cache=64 * CHUNK) as image:
        assert image.read(0, CHUNK) == chunks.part(0)
        with pytest.raises(UnavailableError):
            image.read(CHUNK, 1)
    assert chunks.fetched == [0]


class Forgetful(MemoryChunks):
    """Hands nothing on."""

    def fetch(
        self,
        numbers: list[int],
        take: Callable[[int, bytes | memoryview], None],
        fail: Callable[[int, DamagedError], None],
    ) -> None:
        self.fetched += numbers


def test_a_chunk_that_nobody_hands_on_keeps_no_reader_waiting() -> None:
    told: list[str] = []
    image = CachedImage(Forgetful(make(4)))

    def read() -> None:
        try:
            image.read(2 * CHUNK, 1)
        except InternalError as error:
            told.append(error.code)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(120)
    assert told == ["internal"]
    image.close()
