"""Which chunks are stored already: by leaf, where."""

from __future__ import annotations

from drystone.backup.format.pack import Place
from drystone.backup.format.segment import Segment


class ChunkIndex:
    """Places by leaf, at most `capacity` of them: when it is full, further chunks may be stored twice.

    One thread adds; others may look meanwhile.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._places: dict[bytes, tuple[bytes, int, int]] = {}

    def find(self, leaf: bytes) -> Place | None:
        """Where a chunk with that leaf is."""
        found = self._places.get(leaf)
        return None if found is None else Place(*found)

    def add(self, leaf: bytes, place: Place) -> None:
        """Remember a chunk."""
        if len(self._places) < self._capacity:
            self._places.setdefault(leaf, (place.pack, place.offset, place.length))

    def add_segment(self, segment: Segment) -> None:
        """Remember the chunks of a segment of the base."""
        for leaf, pack, offset, length in segment.stored():
            if len(self._places) >= self._capacity:
                return
            self._places.setdefault(leaf, (pack, offset, length))
