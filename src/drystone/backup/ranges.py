"""Ranges of an image, of bytes and of chunks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ranges = NDArray[np.uint64]
"""Shape (n, 2): offset and length in bytes, ascending, not overlapping."""

Runs = NDArray[np.int64]
"""Shape (n, 2): the first and one past the last, ascending and apart."""


def whole(size: int) -> Ranges:
    """All of an image, as one range; none of an empty one."""
    return np.array([[0, size]] if size else np.empty((0, 2)), dtype=np.uint64).reshape(-1, 2)


def clip(ranges: Ranges, size: int) -> Ranges:
    """The parts of byte ranges below `size`: a device may end within a pool block, or have been made smaller."""
    begins = ranges[:, 0]
    ends = np.minimum(begins + ranges[:, 1], np.uint64(size))
    inside = begins < ends
    return np.stack((begins[inside], (ends - begins)[inside]), axis=1)


def join(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Runs:
    """Runs out of those that ascend by their begin: such as touch or overlap are made one."""
    if not len(begins):
        return np.empty((0, 2), dtype=np.int64)
    ends = np.maximum.accumulate(ends)
    first = np.flatnonzero(np.concatenate(([True], begins[1:] > ends[:-1])))
    last = np.append(first[1:], len(begins)) - 1
    return np.stack((begins[first], ends[last]), axis=1)


def join_bytes(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Ranges:
    """As `join`, of bytes."""
    runs = join(begins, ends)
    return np.stack((runs[:, 0], runs[:, 1] - runs[:, 0]), axis=1).astype(np.uint64)


def chunk_runs(ranges: Ranges, chunk_size: int) -> Runs:
    """The chunks that byte ranges touch."""
    touched = ranges[ranges[:, 1] > 0].astype(np.int64)
    return join(touched[:, 0] // chunk_size, -(-touched.sum(axis=1) // chunk_size))
