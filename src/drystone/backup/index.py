"""Which chunks are stored already: by leaf, where."""

from __future__ import annotations

from drystone.backup.pack import Place
from drystone.backup.segment import Segment


class ChunkIndex:
    """Places by leaf, at most `capacity` of them: when it is full, further chunks may be stored twice.

    One thread adds; others may look meanwhile.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._places: dict[bytes, Place] = {}

    def find(self, leaf: bytes) -> Place | None:
        """Where a chunk with that leaf is."""
        return self._places.get(leaf)

    def add(self, leaf: bytes, place: Place) -> None:
        """Remember a chunk."""
        if len(self._places) < self._capacity:
            self._places.setdefault(leaf, place)

    def add_segment(self, segment: Segment) -> None:
        """Remember the chunks of a segment of the base."""
        for slot in segment.present().tolist():
            place = segment.place(slot)
            if place is not None:
                self.add(segment.leaf(slot), place)
