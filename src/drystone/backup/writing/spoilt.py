"""Places of records that a scrub found wrong: what is there is stored again, and not referred to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
        return bool((self.mark(segment.packs, segment.pack, segment.offset) & (segment.length != 0)).any())

    def mark(self, packs: list[bytes], pack: NDArray[np.uint32], offset: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Of places (`pack` counts in `packs`) those whose records are wrong."""
        found = np.zeros(len(pack), dtype=bool)
        for at, each in enumerate(packs):
            offsets = self._offsets.get(each)
            if offsets:
                found |= (pack == at) & np.isin(offset, list(offsets))
        return found
