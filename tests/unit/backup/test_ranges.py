"""Ranges of bytes, joined, cut off, and as runs of chunks."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.backup.ranges import chunk_runs, clip, join_bytes, whole


@pytest.mark.parametrize(
    ("ranges", "runs"),
    [
        ([], []),
        ([[0, 1]], [[0, 1]]),
        ([[5, 10]], [[0, 2]]),
        ([[0, 10], [10, 10], [40, 1]], [[0, 2], [4, 5]]),
        ([[0, 5], [5, 0], [6, 1], [29, 2]], [[0, 1], [2, 4]]),
    ],
)
def test_runs(ranges: list[list[int]], runs: list[list[int]]) -> None:
    assert chunk_runs(np.array(ranges, dtype=np.uint64).reshape(-1, 2), 10).tolist() == runs


def test_what_touches_or_overlaps_is_made_one() -> None:
    rows = np.array([[0, 9], [2, 3], [9, 10], [11, 12], [11, 11]])
    assert join_bytes(rows[:, 0], rows[:, 1]).tolist() == [[0, 10], [11, 1]]
    assert join_bytes(rows[:0, 0], rows[:0, 1]).shape == (0, 2)


def test_ranges_end_with_their_image() -> None:
    ranges = np.array([[0, 4], [6, 4], [8, 8]], dtype=np.uint64)
    assert clip(ranges, 8).tolist() == [[0, 4], [6, 2]]
    assert (whole(5).tolist(), whole(0).shape) == ([[0, 5]], (0, 2))
