"""The differences between two thin devices as segments of one kind each, the way thin_delta tells them.

Only data blocks are compared, never the time of a mapping.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.delta import UNMAPPED, Difference, compare_trees, unite

_UNMAPPED = np.uint64(UNMAPPED)


class Kind(enum.IntEnum):
    """How a segment is mapped."""

    SAME = 0
    LEFT_ONLY = 1
    RIGHT_ONLY = 2
    DIFFERENT = 3


@dataclass(frozen=True, slots=True)
class Segments:
    """Ranges of virtual blocks, ascending; arrays of one length.

    :ivar kinds: uint8, a Kind each. :ivar begin: first virtual block. :ivar left: its data block on the left, UNMAPPED
        where there is none. :ivar right: likewise. :ivar length: virtual blocks.
    """

    kinds: NDArray[np.uint8]
    begin: NDArray[np.uint64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    length: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, which: slice | NDArray[Any]) -> Segments:
        return Segments(*(column[which] for column in self.columns))

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """All arrays, in the order of the fields."""
        return self.kinds, self.begin, self.left, self.right, self.length


def iter_segments(
    reader: BlockReader, left_root: int, right_root: int, *, changed_only: bool = False, by_data: bool = False
) -> Iterator[Segments]:
    """The segments of two trees of mappings, merged as far as they go, also across what is given out at once.

    :param changed_only: leave out what is the same; shared subtrees are then not read at all.
    :param by_data: a segment's data blocks go up with its virtual blocks, on each side that has any; else only the
        first one's data blocks are told, and a segment ends where the kind does.
    :raises DamagedError: at the first damaged node that is read.
    """
    found = (
        _make_segments(comparison.shared, comparison.left, comparison.right, by_data=by_data)
        for comparison in compare_trees(reader, left_root, right_root, with_shared=not changed_only)
    )
    if changed_only:
        found = (segments[segments.kinds != Kind.SAME] for segments in found)
    return _join_segments(found, by_data=by_data)


def _make_segments(
    shared: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    left: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    right: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    *,
    by_data: bool,
) -> Segments:
    parts = []
    if len(shared[0]):
        same = Difference(shared[0], shared[1], shared[1])
        parts.append(_cut_segments(same, np.full(len(same), Kind.SAME, dtype=np.uint8), by_data=by_data))
    if len(left[0]) or len(right[0]):
        union = unite(left, right)
        kinds = np.full(len(union), Kind.DIFFERENT, dtype=np.uint8)
        kinds[union.left == union.right] = Kind.SAME
        kinds[union.right == _UNMAPPED] = Kind.LEFT_ONLY
        kinds[union.left == _UNMAPPED] = Kind.RIGHT_ONLY
        parts.append(_cut_segments(union, kinds, by_data=by_data))
    if not parts:
        return NO_SEGMENTS
    if len(parts) == 1:
        return parts[0]
    both = _concatenate(parts)
    return _merge(both[np.argsort(both.begin, kind="stable")], by_data=by_data)


def _cut_segments(blocks: Difference, kinds: NDArray[np.uint8], *, by_data: bool) -> Segments:
    """Segments of blocks that go on from one another."""
    breaks = np.ones(len(blocks), dtype=np.bool_)
    breaks[1:] = (blocks.virtual[1:] - blocks.virtual[:-1] != 1) | (kinds[1:] != kinds[:-1])
    if by_data:
        sides = [blocks.left] if blocks.left is blocks.right else [blocks.left, blocks.right]
        for side in sides:
            breaks[1:] |= (side[1:] != side[:-1] + np.uint64(1)) & (side[1:] != _UNMAPPED)
    begins = np.flatnonzero(breaks)
    lengths = np.diff(np.append(begins, len(blocks))).astype(np.uint64)
    return Segments(kinds[begins], blocks.virtual[begins], blocks.left[begins], blocks.right[begins], lengths)


def _merge(segments: Segments, *, by_data: bool) -> Segments:
    """Neighbours that go on from one another made one."""
    goes_on = np.zeros(len(segments), dtype=np.bool_)
    before, after = segments[:-1], segments[1:]
    goes_on[1:] = (before.begin + before.length == after.begin) & (before.kinds == after.kinds)
    if by_data:
        for one, other in ((before.left, after.left), (before.right, after.right)):
            goes_on[1:] &= (one + before.length == other) | (other == _UNMAPPED)
    if not goes_on.any():
        return segments
    begins = np.flatnonzero(~goes_on)
    lengths = np.add.reduceat(segments.length, begins)
    merged = segments[begins]
    return Segments(merged.kinds, merged.begin, merged.left, merged.right, lengths)


def _join_segments(batches: Iterable[Segments], *, by_data: bool) -> Iterator[Segments]:
    """The same with those that touch across batches made one. Holds one segment back."""
    held = NO_SEGMENTS
    for batch in batches:
        if not len(batch):
            continue
        segments = batch
        if len(held):
            segments = _concatenate([_merge(_concatenate([held, batch[:1]]), by_data=by_data), batch[1:]])
        if len(segments) > 1:
            yield segments[:-1]
        held = segments[-1:]
    if len(held):
        yield held


def _concatenate(parts: list[Segments]) -> Segments:
    return Segments(*(np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)))


NO_SEGMENTS = Segments(np.empty(0, dtype=np.uint8), *(np.empty(0, dtype=np.uint64) for _ in range(4)))
