"""Segments of a backup's map, from the store."""

from __future__ import annotations

from drystone.backup.format import segment as segments
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Kind, Place
from drystone.backup.format.segment import Segment
from drystone.backup.reading.locate import Locator
from drystone.base.errors import DamagedError


def read_segment(locator: Locator, manifest: Manifest, number: int) -> Segment | None:
    """A segment of a backup's map, checked against its digest; None for zeros. :raises DamagedError: it is wrong."""
    found = find_segment(locator, manifest, number)
    return None if found is None else found[0]


def find_segment(locator: Locator, manifest: Manifest, number: int) -> tuple[Segment, Place] | None:
    """As `read_segment`, with the place where it was found."""
    entry = manifest.find_segment(number)
    if entry is None:
        return None
    name, place = entry
    try:
        return _find(locator, place, name, number, manifest.shape.slots_of(number))
    except DamagedError as error:
        raise DamagedError(
            f"the map of backup {manifest.head.backup} is damaged in segment {number}: {error.message}",
            backup=manifest.head.backup,
            volume=manifest.head.volume,
            pack=place.pack.hex(),
            offset=number * manifest.shape.slots * manifest.shape.chunk_size,
        ) from error


def read_segment_at(locator: Locator, place: Place, name: bytes, number: int, slots: int) -> Segment:
    """The segment with digest `name` whose record's place in the map is `place`. :raises DamagedError: it is wrong."""
    return _find(locator, place, name, number, slots)[0]


def _find(locator: Locator, place: Place, name: bytes, number: int, slots: int) -> tuple[Segment, Place]:
    """The first of the records of that digest that is whole, and is of this number."""
    if locator.vault.version == 1:  # records of segments have the digest of their bytes there, which no table holds
        return _parse(locator, locator.read(place, b"", Kind.OLD_SEGMENT), name, number, slots), place
    first: DamagedError | None = None
    for each in locator.candidates(place, name, Kind.SEGMENT):
        try:
            return _parse(locator, locator.read_at(each, name, Kind.SEGMENT), name, number, slots), each
        except DamagedError as error:
            first = first or error
    assert first is not None
    raise first


def _parse(locator: Locator, plain: bytes | memoryview, name: bytes, number: int, slots: int) -> Segment:
    found = segments.parse(plain, number, slots)
    if found.digest(locator.vault.hasher) != name:
        raise DamagedError("its leaves do not have its digest")
    return found
