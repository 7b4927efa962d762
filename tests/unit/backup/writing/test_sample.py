"""The proof of deltas: what is read again, and how surely a lie is caught."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.backup.format.digest import NOTHING, Hasher
from drystone.backup.format.manifest import Shape
from drystone.backup.format.pack import Place
from drystone.backup.format.segment import Segment
from drystone.backup.ranges import Ranges
from drystone.backup.writing.sample import LEAST, SHARE, check_sample, choose_sample
from drystone.base.errors import DamagedError
from drystone.testing.sources import MemorySource

CHUNK = 64 << 10
HASHER = Hasher(b"k" * 32)


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as made:
        yield made


def as_runs(changed: set[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    runs: list[list[int]] = []
    for chunk in sorted(changed):
        if runs and runs[-1][1] == chunk:
            runs[-1][1] += 1
        else:
            runs.append([chunk, chunk + 1])
    return np.array(runs, dtype=np.int64).reshape(-1, 2)


@given(st.integers(0, 400), st.data())
def test_a_sample_lies_outside_the_delta(chunks: int, data: st.DataObject) -> None:
    changed = data.draw(st.sets(st.integers(0, chunks - 1))) if chunks else set()
    seed = data.draw(st.integers(0, 2**64 - 1))
    sample = choose_sample(as_runs(changed), chunks, seed).tolist()
    assert sample == sorted(set(sample))
    assert not changed & set(sample)
    assert all(0 <= chunk < chunks for chunk in sample)
    assert len(sample) == min(chunks - len(changed), max(LEAST, len(changed) // SHARE))
    assert sample == choose_sample(as_runs(changed), chunks, seed).tolist(), "the seed decides"


def test_each_chunk_outside_has_its_turn() -> None:
    runs = as_runs({0, 5, 6, 99})
    seen: set[int] = set()
    for seed in range(60):
        seen |= set(choose_sample(runs, 100, seed).tolist())
    assert seen == set(range(100)) - {0, 5, 6, 99}


def test_a_large_image_costs_no_memory() -> None:
    assert len(choose_sample(as_runs(set(range(1000))), 1 << 40, 1)) == 1000 // SHARE


class Base:
    """The map of a backup of `image`, without packs."""

    def __init__(self, image: bytes, slots: int) -> None:
        self.shape = Shape(len(image), CHUNK, slots)
        self.read: list[int] = []
        self._image = image

    def __call__(self, number: int) -> Segment | None:
        self.read.append(number)
        segment = Segment.empty(number, self.shape.slots_of(number))
        for slot in range(len(segment.leaves)):
            begin = (number * self.shape.slots + slot) * CHUNK
            data = self._image[begin : begin + CHUNK]
            if any(data):
                segment.put(slot, HASHER.digest(data), Place(b"p" * 16, 64, 99))
        return segment if segment.leaves.any() else None


def make_image(chunks: int, tail: int = 0) -> bytearray:
    image = bytearray(chunks * CHUNK + tail)
    for chunk in range(0, chunks, 2):
        image[chunk * CHUNK] = 1 + chunk % 255
    if tail:
        image[-1] = 7
    return image


def test_chunks_that_are_as_they_were_are_read_and_found_right(pool: Executor) -> None:
    image = make_image(40, tail=1000)
    base = Base(bytes(image), slots=8)
    image[3 * CHUNK] = 9
    source = MemorySource(image, [(3 * CHUNK, CHUNK)])
    sample = choose_sample(as_runs({3}), 41, seed=1)
    assert len(sample) == LEAST
    sample = np.append(sample[sample < 40], 40)
    check_sample(source, base.shape, base, HASHER, sample, pool)
    assert sum(length for _, length in source.reads) == (len(sample) - 1) * CHUNK + 1000
    assert sorted(base.read) == sorted(set(base.read)), "a segment of the map is read once"


def test_a_delta_that_is_everything_leaves_nothing_to_look_at(pool: Executor) -> None:
    base = Base(bytes(make_image(4)), slots=8)
    sample = choose_sample(as_runs({0, 1, 2, 3}), 4, seed=1)
    check_sample(MemorySource(make_image(4), []), base.shape, base, HASHER, sample, pool)
    assert base.read == []


@pytest.mark.parametrize("chunk", [0, 1, 17, 40])
def test_a_chunk_that_differs_is_named(chunk: int, pool: Executor) -> None:
    image = make_image(40, tail=1000)
    base = Base(bytes(image), slots=8)
    image[chunk * CHUNK] ^= 0xFF
    everything = np.arange(41)
    with pytest.raises(DamagedError) as caught:
        check_sample(MemorySource(image, []), base.shape, base, HASHER, everything, pool)
    assert caught.value.facts == {"offset": chunk * CHUNK, "length": 1000 if chunk == 40 else CHUNK}
    assert caught.value.exit_code == 10
    assert "--full" in caught.value.hint


def test_zeros_count_in_both_directions(pool: Executor) -> None:
    image = make_image(16)
    base = Base(bytes(image), slots=16)
    assert base(0) is not None
    image[4 * CHUNK : 5 * CHUNK] = bytes(CHUNK)
    with pytest.raises(DamagedError):
        check_sample(MemorySource(image, []), base.shape, base, HASHER, np.arange(16), pool)
    empty = Base(bytes(16 * CHUNK), slots=16)
    assert empty(0) is None
    with pytest.raises(DamagedError):
        check_sample(MemorySource(make_image(16), []), empty.shape, empty, HASHER, np.arange(16), pool)
    assert bytes(32) == NOTHING


class SourceThatIsWrittenTo(MemorySource):
    """It says afterwards what was written since it told its changes."""

    def __init__(self, image: bytearray, written: list[tuple[int, int]]) -> None:
        super().__init__(image, [])
        self.written = written

    def written_since(self) -> Ranges:
        return np.array(self.written, dtype=np.uint64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ([(5 * CHUNK + 100, 1)], True),
        ([(0, 10), (4 * CHUNK, 2 * CHUNK), (9 * CHUNK, 5)], True),
        ([], False),
        ([(4 * CHUNK, CHUNK), (6 * CHUNK, CHUNK)], False),
    ],
)
def test_what_is_written_meanwhile_is_no_lie(written: list[tuple[int, int]], right: bool, pool: Executor) -> None:
    image = make_image(16)
    base = Base(bytes(image), slots=16)
    image[5 * CHUNK + 100] = 1
    source = SourceThatIsWrittenTo(image, written)
    with contextlib.nullcontext() if right else pytest.raises(DamagedError):
        check_sample(source, base.shape, base, HASHER, np.arange(16), pool)


@pytest.mark.parametrize("lies", [1, 10, 40])
def test_a_lie_is_caught_as_often_as_computed(lies: int) -> None:
    """`lies` of 400 chunks changed and were not told: of 2,000 seeds the share that sees one is the computed one."""
    chunks, turns = 400, 2000
    missed = math.comb(chunks - lies, LEAST) / math.comb(chunks, LEAST)
    lie = set(range(7, 7 + 9 * lies, 9))
    nothing = as_runs(set())
    caught = sum(bool(lie & set(choose_sample(nothing, chunks, seed).tolist())) for seed in range(turns))
    expected = turns * (1 - missed)
    deviation = math.sqrt(turns * missed * (1 - missed))
    assert abs(caught - expected) <= 4.5 * deviation + 1
    assert missed <= (1 - lies / chunks) ** LEAST
