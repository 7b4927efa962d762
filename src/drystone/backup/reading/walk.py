"""Going through the chunks of a backup, in stretches that are fetched at once, with everything checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Kind, Place, parse_record
from drystone.backup.format.segment import Segment
from drystone.backup.objects import read_place
from drystone.backup.reading.damage import Damage, Damages
from drystone.backup.reading.locate import Locator
from drystone.backup.tuning import FETCH
from drystone.base.errors import DamagedError

Take = Callable[[int, bytes | memoryview], None]
"""Called with (offset in the image, plain bytes) by several threads."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Slots of a segment whose records follow one another in a pack: one range to fetch.

    :ivar places: of each slot's record, as they are now. :ivar place: from the first to the last of them.
    """

    segment: Segment
    slots: list[int]
    places: list[Place]

    @property
    def place(self) -> Place:
        """The range that holds all of its records."""
        first, last = self.places[0], self.places[-1]
        return Place(first.pack, first.offset, last.offset + last.length - first.offset)


def present_runs(segment: Segment) -> list[tuple[int, int]]:
    """Runs of slots that are not zero: first, and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], segment.length != 0, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def stretches(segment: Segment, locator: Locator, wanted: list[int] | None = None) -> Iterator[Stretch]:
    """The stored slots of a segment, in the order of the image; records that were moved are looked for on the way.

    :param wanted: these slots, ascending, all of them stored; None: all that are.
    """
    slots: list[int] = []
    places: list[Place] = []
    for slot in segment.present().tolist() if wanted is None else wanted:
        place = segment.place(slot)
        assert place is not None
        if locator.is_moved(place.pack):
            place = locator.locate(place, segment.leaf(slot), Kind.CHUNK)
        if slots:
            last = places[-1]
            follows = (place.pack, place.offset) == (last.pack, last.offset + last.length)
            if not follows or last.offset + last.length - places[0].offset >= FETCH:
                yield Stretch(segment, slots, places)
                slots, places = [], []
        slots.append(slot)
        places.append(place)
    if slots:
        yield Stretch(segment, slots, places)


def read_stretch(locator: Locator, manifest: Manifest, stretch: Stretch, take: Take) -> int:
    """Fetch, check and hand out the chunks of a stretch; their plain bytes.

    A chunk that is damaged where it should be is taken from where an index knows it again.

    :raises DamagedError: the first chunk that is nowhere as it was; facts hold backup, volume, pack and offset.
    """
    shape = manifest.shape
    first = stretch.segment.number * shape.slots
    whole = stretch.place
    try:
        data: memoryview | None = read_place(locator.vault, whole)
    except DamagedError:
        data = None
    total = 0
    for slot, place in zip(stretch.slots, stretch.places, strict=True):
        begin = place.offset - whole.offset
        part = None if data is None else data[begin : begin + place.length]
        try:
            plain = _read_chunk(locator, stretch, slot, place, part)
            if len(plain) != shape.length_of(first + slot):
                raise DamagedError(f"it has {len(plain)} bytes, not {shape.length_of(first + slot)}")
        except DamagedError as error:
            raise _name(error, manifest, place, (first + slot) * shape.chunk_size) from error
        take((first + slot) * shape.chunk_size, plain)
        total += len(plain)
    return total


def read_slots(locator: Locator, manifest: Manifest, stretch: Stretch, take: Take) -> Damages:
    """As `read_stretch`, slot by slot: what is damaged is told, and all else is handed out."""
    shape = manifest.shape
    damages: Damages = []
    for slot, place in zip(stretch.slots, stretch.places, strict=True):
        try:
            read_stretch(locator, manifest, Stretch(stretch.segment, [slot], [place]), take)
        except DamagedError as error:
            chunk = stretch.segment.number * shape.slots + slot
            damages.append(Damage(chunk * shape.chunk_size, shape.length_of(chunk), error.message))
    return damages


def _read_chunk(
    locator: Locator, stretch: Stretch, slot: int, place: Place, data: memoryview | None
) -> bytes | memoryview:
    leaf = stretch.segment.leaf(slot)
    if data is not None:
        try:
            return parse_record(data, Kind.CHUNK, leaf, locator.vault.hasher, locator.vault.opener(place))
        except DamagedError:
            pass  # looked at again by the map's own place, which may be another, and then for copies
    mapped = stretch.segment.place(slot)
    assert mapped is not None
    return locator.read(mapped, leaf, Kind.CHUNK)


def _name(error: DamagedError, manifest: Manifest, place: Place, offset: int) -> DamagedError:
    return DamagedError(
        f"backup {manifest.head.backup} is damaged at byte {offset} of the image: {error.message}",
        hint="`drystone backup verify` names all damages; another backup may be whole",
        backup=manifest.head.backup,
        volume=manifest.head.volume,
        pack=place.pack.hex(),
        offset=offset,
    )
