"""How often each block is referred to: counts for all blocks of a device in memory.

One byte a block, and a dictionary for the few that are referred to 255 times or more. Memory is taken where counts are
not zero, a page of 4096 blocks at a time, so that a device that claims to be large costs nothing by that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import ExhaustedError

_MANY = 255
"""What the byte of a block says whose count is in the dictionary."""

_FAR = 1 << 16
"""Numbers that are far apart are added so many at a time: their places then fit two bytes."""

_DENSE = 8
"""Numbers are counted by their range when that is at most so many times as long as there are numbers."""


class ReferenceCounts:
    """Counts of references to blocks 0 to nr_blocks - 1, all zero at first.

    :raises ExhaustedError: there is no address space for `nr_blocks` bytes.
    """

    def __init__(self, nr_blocks: int) -> None:
        self.nr_blocks = nr_blocks
        try:
            self._few = np.zeros(nr_blocks, dtype=np.uint8)
        except (MemoryError, ValueError) as error:
            raise ExhaustedError(f"no memory for the reference counts of {nr_blocks} blocks") from error
        self._many: dict[int, int] = {}

    def add(self, numbers: NDArray[np.uint64]) -> None:
        """One more reference for each of `numbers`, which may hold a block several times. All are below nr_blocks."""
        if not len(numbers):
            return
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < _DENSE * len(numbers):
            added = np.bincount((numbers - np.uint64(low)).view(np.int64))
            part = self._few[low : high + 1]
            if int(part.max()) + int(added.max()) < _MANY:
                part += added.astype(np.uint8)
                return
            blocks = np.flatnonzero(added)
            self._add_slowly(blocks + low, added[blocks])
            return
        for begin in range(0, len(numbers), _FAR):
            self._add_far(numbers[begin : begin + _FAR].astype(np.int64))

    def remove(self, numbers: NDArray[np.uint64]) -> None:
        """One reference less for each of `numbers`, which may hold a block several times; all were added before."""
        blocks, times = np.unique(numbers, return_counts=True)
        left = self.get_many(blocks) - times
        self._few[blocks] = np.minimum(left, _MANY)
        many = self._many.keys() & set(blocks.tolist()) if self._many else set()
        for block in many:
            del self._many[block]
        for place in np.flatnonzero(left >= _MANY).tolist():
            self._many[int(blocks[place])] = int(left[place])

    def get(self, number: int) -> int:
        """References to one block."""
        few = int(self._few[number])
        return self._many[number] if few == _MANY else few

    def get_range(self, begin: int, end: int) -> NDArray[np.uint32]:
        """References to the blocks begin to end - 1, as a new array."""
        found = self._few[begin:end].astype(np.uint32)
        if self._many:
            for place in np.flatnonzero(found == _MANY).tolist():
                found[place] = self._many[begin + place]
        return found

    def get_capped(self, begin: int, end: int) -> NDArray[np.uint8]:
        """The same as bytes, 255 standing for 255 and more; not to be written to."""
        return self._few[begin:end]

    def get_many(self, numbers: NDArray[Any]) -> NDArray[np.uint32]:
        """References to each of `numbers`."""
        found: NDArray[np.uint32] = self._few[numbers].astype(np.uint32)
        if self._many:
            for place in np.flatnonzero(found == _MANY).tolist():
                found[place] = self._many[int(numbers[place])]
        return found

    def count_used(self) -> int:
        """Blocks with one reference or more."""
        return int(np.count_nonzero(self._few))

    def _add_far(self, blocks: NDArray[np.int64]) -> None:
        """Add at most _FAR blocks, in time that does not hang on how far apart they are, and without sorting.

        Which of them are there once is found by writing each one's place into the counts and looking what is still
        there: low byte and high byte of the place, one after the other. Two places differ in one of the bytes, so of
        equal blocks at most one finds both of its own, whatever the order of writing. The others are added one by one.
        """
        few = self._few
        before = few[blocks]
        places = np.arange(len(blocks), dtype=np.uint16)
        alone = before < _MANY - 1
        for mark in ((places & np.uint16(0xFF)).astype(np.uint8), (places >> np.uint16(8)).astype(np.uint8)):
            few[blocks] = mark
            alone &= few[blocks] == mark
        few[blocks] = before
        few[blocks[alone]] = before[alone] + np.uint8(1)
        if not alone.all():
            self._add_slowly(*np.unique(blocks[~alone], return_counts=True))

    def _add_slowly(self, blocks: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Add to distinct blocks, some of which may get many."""
        total = self._few[blocks] + times
        few = total < _MANY
        self._few[blocks[few]] = total[few]
        for block, more in zip(blocks[~few].tolist(), times[~few].tolist(), strict=True):
            self._many[block] = self.get(block) + more
            self._few[block] = _MANY
