"""Places of records that a scrub found wrong: what is there is stored again, and not referred to."""

from __future__ import annotations

import numpy as np

from drystone.backup.format.pack import Place
from drystone.backup.format.segment import Segment
from drystone.backup.state.document import State


class Spoilt:
    """The damaged places that a state knows."""

    def __init__(self, state: State) -> None:
        self._offsets = {bytes.fromhex(pack): frozenset(offsets) for pack, offsets in state.damaged.items()}

    def has(self, place: Place) -> bool:
        """Whether the record at a place is wrong."""
        return place.offset in self._offsets.get(place.pack, ())

    def touches(self, segment: Segment) -> bool:
        """Whether a segment refers to one that is."""
        for at, pack in enumerate(segment.packs):
            offsets = self._offsets.get(pack)
            if offsets and np.isin(segment.offset[(segment.pack == at) & (segment.length != 0)], list(offsets)).any():
                return True
        return False
