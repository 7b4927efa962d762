"""Counts against a dictionary, and their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.counts import ReferenceCounts


def numbers(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(values, dtype=np.uint64)


def test_nothing_is_referred_to_at_first() -> None:
    counts = ReferenceCounts(5)
    assert counts.get_range(0, 5).tolist() == [0] * 5
    assert counts.count_used() == 0


def test_neighbours_and_far_ones_are_counted() -> None:
    counts = ReferenceCounts(1_000_000)
    counts.add(numbers(3, 4, 4, 5))
    counts.add(numbers(999_999, 0, 999_999, 4))
    counts.add(numbers())
    assert [counts.get(block) for block in (0, 3, 4, 5, 999_999)] == [1, 1, 3, 1, 2]
    assert counts.get_range(2, 6).tolist() == [0, 1, 3, 1]
    assert counts.get_many(numbers(999_999, 4, 7)).tolist() == [2, 3, 0]
    assert counts.count_used() == 5


@pytest.mark.parametrize("far", [0, 500_000])
def test_counts_of_255_and_more(far: int) -> None:
    """Through both ways of adding: a short range, and blocks far apart."""
    counts = ReferenceCounts(1_000_000)
    for expected in range(1, 600):
        counts.add(numbers(7, far))
        assert counts.get(7) == expected
    counts.add(np.full(1000, 7, dtype=np.uint64))
    assert counts.get(7) == 1599
    assert counts.get_range(6, 9).tolist() == [0, 1599, 0]
    assert counts.get_many(numbers(7, far, 8)).tolist() == [1599, 599, 0]
    assert counts.get_capped(6, 9).tolist() == [0, 255, 0]
    assert counts.count_used() == 2


@pytest.mark.parametrize("distinct", [10, 5000, 200_000])
def test_many_blocks_far_apart_and_again(distinct: int) -> None:
    random = np.random.default_rng(distinct)
    pool = random.integers(0, 10_000_000, distinct).astype(np.uint64)
    counts = ReferenceCounts(10_000_000)
    due = np.zeros(10_000_000, dtype=np.uint32)
    for _ in range(3):
        drawn = random.choice(pool, 200_000)
        counts.add(drawn)
        np.add.at(due, drawn.astype(np.int64), np.uint32(1))
    assert np.array_equal(counts.get_range(0, 10_000_000), due)
    assert counts.count_used() == np.count_nonzero(due)


@pytest.mark.parametrize("seed", range(5))
def test_references_are_taken_back(seed: int) -> None:
    """Below 255 and above, and across it."""
    random = np.random.default_rng(seed)
    drawn = random.choice(random.integers(0, 1000, 30), 8000).astype(np.uint64)
    counts = ReferenceCounts(1000)
    counts.add(drawn)
    for taken in np.split(drawn, [0, 1, 5000, 7999]):
        counts.remove(taken)
        drawn = drawn[len(taken) :]
        assert np.array_equal(counts.get_range(0, 1000), np.bincount(drawn.astype(np.int64), minlength=1000))
    counts.add(numbers(7))
    assert counts.get(7) == 1
    assert counts.count_used() == 1


def test_a_device_that_claims_too_much_is_refused() -> None:
    with pytest.raises(ExhaustedError, match="no memory"):
        ReferenceCounts(1 << 62)
