"""Sets of places of records: sorted arrays, 12 bytes a record, so that a repository of millions fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PENDING = 1 << 20


class PlaceSet:
    """Distinct places of records, by pack. Not for several threads.

    A key is the pack's number here (in the order in which packs were met) in the upper half, the offset in the lower.
    Cost of `add`: that of a sort of what is pending, and now and then a merge with all.

    :param pending: places that are collected at least before they are merged with the sorted ones.
    """

    def __init__(self, pending: int = _PENDING) -> None:
        self._most = pending
        self._numbers: dict[bytes, int] = {}
        self._keys = np.empty(0, dtype=np.uint64)
        self._lengths = np.empty(0, dtype=np.uint32)
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]] = []
        self._waiting = 0

    def add(self, pack: bytes, offsets: NDArray[np.uint32], lengths: NDArray[np.uint32]) -> None:
        """Places in a pack: offsets and lengths of records in bytes, in any order, and more than once if so."""
        number = self._numbers.setdefault(pack, len(self._numbers))
        keys = np.uint64(number << 32) + offsets.astype(np.uint64)
        self._pending.append((keys, lengths.astype(np.uint32)))
        self._waiting += len(keys)
        if self._waiting >= max(self._most, len(self._keys) // 2):
            self._settle()

    def update(self, other: PlaceSet) -> None:
        """Add the places of another set."""
        for pack in other.packs():
            self.add(pack, *other.of(pack))

    def _settle(self) -> None:
        if not self._pending:
            return
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._pending)])
        lengths = np.concatenate([self._lengths, *(lengths for _, lengths in self._pending)])
        self._keys, at = np.unique(keys, return_index=True)
        self._lengths = lengths[at]
        self._pending, self._waiting = [], 0

    def _rows(self, pack: bytes) -> slice:
        self._settle()
        number = self._numbers.get(pack)
        if number is None:
            return slice(0, 0)
        first, last = np.searchsorted(self._keys, np.array([number << 32, (number + 1) << 32], dtype=np.uint64))
        return slice(int(first), int(last))

    def of(self, pack: bytes) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """(offsets, lengths) of the places in a pack, ascending; bytes."""
        rows = self._rows(pack)
        return (self._keys[rows] & np.uint64(0xFFFFFFFF)).astype(np.uint32), self._lengths[rows]

    def sums(self, pack: bytes) -> tuple[int, int]:
        """(records, bytes of them) in a pack."""
        rows = self._rows(pack)
        return rows.stop - rows.start, int(self._lengths[rows].sum(dtype=np.uint64))

    def packs(self) -> set[bytes]:
        """The packs in which there are places."""
        return set(self._numbers)
