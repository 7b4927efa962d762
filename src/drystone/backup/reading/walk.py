"""Reading a backup back: its chunks, fetched in long ranges by threads, each checked before it is handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Kind, Place, parse_record
from drystone.backup.format.segment import Segment
from drystone.backup.objects import read_place
from drystone.base.errors import DamagedError
from drystone.store import Store

FETCH = 8 << 20
"""Bytes that are fetched at once, when records of neighbours in the image are neighbours in a pack."""

Take = Callable[[int, bytes | memoryview], None]
"""Called with (offset in the image, plain bytes) by several threads."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Slots of a segment whose records follow one another in a pack: one range to fetch."""

    segment: Segment
    slots: list[int]
    place: Place


def stretches(segment: Segment) -> Iterator[Stretch]:
    """All stored slots of a segment, in the order of the image."""
    slots: list[int] = []
    pack, begin, end = b"", 0, 0
    for slot in segment.present().tolist():
        place = segment.place(slot)
        assert place is not None
        if slots and (place.pack, place.offset) == (pack, end) and end - begin < FETCH:
            slots.append(slot)
            end += place.length
            continue
        if slots:
            yield Stretch(segment, slots, Place(pack, begin, end - begin))
        slots, pack, begin, end = [slot], place.pack, place.offset, place.offset + place.length
    if slots:
        yield Stretch(segment, slots, Place(pack, begin, end - begin))


def read_stretch(store: Store, manifest: Manifest, stretch: Stretch, take: Take) -> int:
    """Fetch, check and hand out the chunks of a stretch; their plain bytes.

    :raises DamagedError: the first chunk that is not as it was; facts hold backup, volume, pack and offset.
    """
    shape = manifest.shape
    first = stretch.segment.number * shape.slots
    total = 0
    at = 0
    slot = stretch.slots[0]
    try:
        data = read_place(store, stretch.place)
        for slot in stretch.slots:
            length = int(stretch.segment.length[slot])
            plain = parse_record(data[at : at + length], Kind.CHUNK, stretch.segment.leaf(slot))
            if len(plain) != shape.length_of(first + slot):
                raise DamagedError(f"it has {len(plain)} bytes, not {shape.length_of(first + slot)}")
            take((first + slot) * shape.chunk_size, plain)
            at += length
            total += len(plain)
    except DamagedError as error:
        offset = (first + slot) * shape.chunk_size
        raise DamagedError(
            f"backup {manifest.head.backup} is damaged at byte {offset} of the image: {error.message}",
            hint="`drystone backup verify` names all damages; another backup may be whole",
            backup=manifest.head.backup,
            volume=manifest.head.volume,
            pack=stretch.place.pack.hex(),
            offset=offset,
        ) from error
    return total
