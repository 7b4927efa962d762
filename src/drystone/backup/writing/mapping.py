"""The map of a backup while it is made: segments come in order, and what the base has already is referred to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drystone.backup.format import segment as segments
from drystone.backup.format.codec import Compressor
from drystone.backup.format.digest import NOTHING
from drystone.backup.format.manifest import Manifest, Shape, make_packs, make_segments, root_of
from drystone.backup.format.pack import Kind, Place, make_record
from drystone.backup.format.segment import Segment
from drystone.backup.reading.locate import Locator, reach
from drystone.backup.writing.spoilt import Spoilt
from drystone.backup.writing.writer import PackWriter

Tally = dict[bytes, tuple[int, int]]
"""Pack id -> (references, bytes referred to)."""


def _count(tally: Tally, place: Place, sign: int) -> None:
    references, size = tally.get(place.pack, (0, 0))
    tally[place.pack] = (references + sign, size + sign * place.length)


def _count_segment(tally: Tally, segment: Segment, sign: int) -> None:
    present = segment.present()
    packs = segment.pack[present]
    for at in np.unique(packs).tolist():
        mine = segment.length[present][packs == at]
        references, size = tally.get(segment.packs[at], (0, 0))
        tally[segment.packs[at]] = (references + sign * len(mine), size + sign * int(mine.sum(dtype=np.int64)))


@dataclass(frozen=True, slots=True)
class Tables:
    """What a manifest says of the map."""

    segments: np.ndarray[tuple[int], np.dtype[np.void]]
    packs: np.ndarray[tuple[int], np.dtype[np.void]]
    root: bytes
    chunks: int


class MapMaker:
    """Collects the segments of a new backup.

    A relative one begins with all that its base has, and `replace` exchanges segments; another begins empty.
    """

    def __init__(
        self, locator: Locator, spoilt: Spoilt, writer: PackWriter, base: Manifest | None, *, relative: bool
    ) -> None:
        self._locator = locator
        self._spoilt = spoilt
        self._vault = locator.vault
        self._writer = writer
        self._compressor = Compressor()
        self._base = base
        self._entries: dict[int, tuple[bytes, Place]] = {}
        self._tally: Tally = {}
        self._chunks = 0
        if base is not None and relative:
            self._chunks = base.head.chunks
            self._tally = {pack: (references, size) for pack, references, size, _ in base.packs.tolist()}
            for number in base.segments["number"].tolist():
                entry = base.find_segment(number)
                assert entry is not None
                self._entries[number] = entry

    def adopt(self, number: int, row: tuple[bytes, Place | None], old: Segment | None, new: Segment | None) -> None:
        """A segment that an earlier run put already, as `row` says. `old` is the base's, None for zeros."""
        self._take_out(number, old)
        name, place = row
        if new is not None and place is not None:
            self._put_in(number, name, place, new)

    def replace(self, old: Segment | None, new: Segment) -> tuple[bytes, Place | None]:
        """`new` is the segment of its number. `old` is the base's, None for zeros or without a base.

        :returns: its digest, and where its record will be; None for zeros.
        """
        number, name = new.number, new.digest(self._vault.hasher)
        base_entry = self._base.find_segment(number) if self._base is not None else None
        self._take_out(number, old)
        if name == NOTHING:
            return name, None
        if base_entry is not None and old is not None and base_entry[0] == name and self._is_sound(base_entry[1], old):
            # The same bytes: the base's record serves, and the map costs nothing.
            new, place = old, base_entry[1]
        else:
            plain = segments.encode(new)
            codec, payload = self._compressor.compress(memoryview(plain))
            record = make_record(Kind.SEGMENT, codec, name, payload, len(plain), encrypted=self._vault.encrypted)
            place = self._writer.add(record)
        self._put_in(number, name, place, new)
        return name, place

    def _is_sound(self, place: Place, segment: Segment) -> bool:
        return not self._spoilt.has(place) and not self._spoilt.touches(segment)

    def _take_out(self, number: int, old: Segment | None) -> None:
        replaced = self._entries.pop(number, None)
        if replaced is not None and old is not None:
            _count(self._tally, replaced[1], -1)
            if not self._was_made_again(replaced[1], old):
                _count_segment(self._tally, old, -1)
            self._chunks -= len(old.present())

    def _was_made_again(self, place: Place, segment: Segment) -> bool:
        """Whether a repair made the base's segment anew, with places that its manifest did not count.

        Such places are in packs to which the segment's own was moved. Nothing is counted off then: a pack may stay that
        is not needed, and none goes that is.
        """
        if not self._locator.is_moved(place.pack):
            return False
        return not reach(self._locator.state, {place.pack}).isdisjoint(segment.packs)

    def _put_in(self, number: int, name: bytes, place: Place, new: Segment) -> None:
        _count(self._tally, place, 1)
        _count_segment(self._tally, new, 1)
        self._chunks += len(new.present())
        self._entries[number] = (name, place)

    def finish(self, shape: Shape) -> Tables:
        """The tables and the root of the whole map."""
        packs = make_packs(self._tally)
        table = make_segments(self._entries, packs)
        digests = [bytes(each) for each in table["digest"]]
        return Tables(table, packs, root_of(shape, table["number"], digests, self._vault.hasher), self._chunks)
