"""Ranges out of blocks: runs of neighbours merged, also where a run crosses two batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.thin.mappings import MappingBatch

LARGEST_DEVICE = (1 << 63) - 1
"""Bytes: the kernel's file offsets are signed."""

Ranges = NDArray[np.uint64]
"""Shape (n, 2): begin and length, ascending, neither overlapping nor touching."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Mappings whose virtual and data blocks go up side by side and have one time; arrays of one length."""

    virtual: NDArray[np.uint64]
    data: NDArray[np.uint64]
    time: NDArray[np.uint32]
    length: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.virtual)

    def __getitem__(self, which: slice | NDArray[Any]) -> Runs:
        return Runs(self.virtual[which], self.data[which], self.time[which], self.length[which])


def merge_blocks(blocks: NDArray[np.uint64]) -> Ranges:
    """Ranges of `blocks`, which ascend and hold none twice."""
    begins = np.flatnonzero(np.concatenate(([True], blocks[1:] - blocks[:-1] != 1))[: len(blocks)])
    lengths = np.diff(np.append(begins, len(blocks)))
    return np.stack((blocks[begins], lengths.astype(np.uint64)), axis=1)


def join_ranges(batches: Iterable[Ranges]) -> Iterator[Ranges]:
    """The same ranges with those that touch across batches made one. Holds one range back, no more."""
    held = np.empty((0, 2), dtype=np.uint64)
    for batch in batches:
        ranges = batch
        if not len(ranges):
            continue
        if len(held):
            if held[0, 0] + held[0, 1] == ranges[0, 0]:
                ranges = ranges.copy()
                ranges[0] = (held[0, 0], held[0, 1] + ranges[0, 1])
            else:
                ranges = np.concatenate((held, ranges))
        if len(ranges) > 1:
            yield ranges[:-1]
        held = ranges[-1:]
    if len(held):
        yield held


def iter_runs(batches: Iterable[MappingBatch]) -> Iterator[Runs]:
    """Runs of mappings, merged across batches as well. Holds one run back."""
    held: Runs | None = None
    for batch in batches:
        runs = _merge_mappings(batch)
        if held is not None:
            runs = join_runs(held, runs)
        held = runs[-1:]
        if len(runs) > 1:
            yield runs[:-1]
    if held is not None:
        yield held


def join_runs(held: Runs, runs: Runs, *, may_merge: bool = True) -> Runs:
    """`runs` after the one run in `held`, made one with the first of them if that goes on from it.

    `runs` may be changed by this.
    """
    length = held.length[0]
    if (
        may_merge
        and len(runs)
        and held.virtual[0] + length == runs.virtual[0]
        and held.data[0] + length == runs.data[0]
        and held.time[0] == runs.time[0]
    ):
        runs.virtual[0], runs.data[0] = held.virtual[0], held.data[0]
        runs.length[0] += length
        return runs
    return concatenate_runs((held, runs))


def concatenate_runs(parts: Sequence[Runs]) -> Runs:
    """All runs of `parts`, one after the other and none merged."""
    return Runs(
        np.concatenate([part.virtual for part in parts]),
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.length for part in parts]),
    )


def to_bytes(ranges: Ranges, block_size: int) -> Ranges:
    """Ranges of pool blocks as ranges of bytes; `block_size` in bytes.

    :raises DamagedError: a block beyond LARGEST_DEVICE, which no device can have.
    """
    most = LARGEST_DEVICE // block_size
    if len(ranges) and int(ranges[-1, 0]) + int(ranges[-1, 1]) > most:
        raise DamagedError(
            f"thin metadata maps block {ranges[-1, 0]}, expected below {most}",
            what="mapped block",
            expected=f"below {most}",
            found=int(ranges[-1, 0]),
        )
    return ranges * np.uint64(block_size)


def _merge_mappings(batch: MappingBatch) -> Runs:
    breaks = (
        (batch.virtual[1:] - batch.virtual[:-1] != 1)
        | (batch.data[1:] - batch.data[:-1] != 1)
        | (batch.time[1:] != batch.time[:-1])
    )
    begins = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    lengths = np.diff(np.append(begins, len(batch))).astype(np.uint64)
    return Runs(batch.virtual[begins], batch.data[begins], batch.time[begins], lengths)
