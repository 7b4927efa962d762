"""The segments of a logical volume, a type a kind. Lengths are extents unless the name says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from drystone.formats.lvm2.fields import Fields

MOST_LEGS = 256
"""Stripes, images or mirrors of one segment; LVM2 makes at most 128."""

_KIND = re.compile(r"[A-Za-z0-9_+.-]{1,127}")
"""Of a type; behind a + may be flags that an older LVM2 has to know."""
_RAID_SETTINGS = (
    ("min_recovery_rate", "min_recovery_rate"),
    ("max_recovery_rate", "max_recovery_rate"),
    ("writebehind", "max_write_behind"),
)
_NO_REFERENCES = frozenset({"type", "tags", "discards", "zero_new_blocks", "cache_mode", "policy", "metadata_format"})
"""Keys whose texts name no volume."""


class Place(NamedTuple):
    """Extents of a physical volume, or of a hidden volume, from `extent` on.

    :ivar on: the physical volume's name within the text (`pv0`), or the volume's.
    """

    on: str
    extent: int
    is_physical: bool


@dataclass(frozen=True, slots=True)
class Stripes:
    """Chunks of `chunk` sectors (of 512 bytes) in turn on `places`; one place is a linear stretch, without chunks."""

    chunk: int
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Images:
    """raid1: every image is a volume that holds everything, with a small volume of metadata beside it, or none.

    :ivar region: sectors that are marked as one; 0: the kernel's choice.
    :ivar images: (metadata volume or "", data volume).
    :ivar settings: (name in a dm-raid table, value) of rates and of write-behind, where they are set.
    """

    region: int
    images: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Mirrors:
    """mirror, the older kind: all places hold the same.

    :ivar region: sectors that are marked as one. :ivar log: the volume of marks; "": they are kept in memory.
    """

    region: int
    places: tuple[Place, ...]
    log: str = ""


@dataclass(frozen=True, slots=True)
class Nothing:
    """`error` or `zero`: nothing is stored."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A kind that is not read here.

    :ivar refers_to: every text in the segment; volumes that it stands on are among them.
    """

    refers_to: tuple[str, ...]


Mapping: TypeAlias = Stripes | Images | Mirrors | Nothing | Unread


@dataclass(frozen=True, slots=True)
class Segment:
    """Extents [start, start + extents) of a volume.

    :ivar kind: as the text has it, such as `striped` or `thin-pool`.
    """

    start: int
    extents: int
    kind: str
    mapping: Mapping


def read_segment(fields: Fields, physical: Container[str]) -> Segment:
    """A segment from its section.

    :param physical: the names of physical volumes; what else a place names is a volume.
    :raises DamagedError: a value is missing, of another kind, or cannot be.
    """
    start = fields.whole("start_extent")
    extents = fields.whole("extent_count", least=1)
    kind = fields.text("type")
    if _KIND.fullmatch(kind) is None:
        raise fields.fail(f"type is {kind[:40]!r}, which cannot be one")
    reader = _READERS.get(kind, _read_unread)
    return Segment(start, extents, kind, reader(fields, physical, extents))


def _read_places(fields: Fields, key: str, count: int, physical: Container[str]) -> tuple[Place, ...]:
    found = fields.places(key)
    if len(found) != count or not 1 <= count <= MOST_LEGS:
        raise fields.fail(f"{key} has {len(found)} places, {count} were announced")
    return tuple(Place(name, extent, name in physical) for name, extent in found)


def _read_stripes(fields: Fields, physical: Container[str], extents: int) -> Stripes:
    count = fields.whole("stripe_count", least=1)
    places = _read_places(fields, "stripes", count, physical)
    if extents % count:
        raise fields.fail(f"{extents} extents cannot be shared by {count} stripes")
    return Stripes(fields.whole("stripe_size", least=1) if count > 1 else 0, places)


def _read_images(fields: Fields, physical: Container[str], extents: int) -> Images:  # noqa: ARG001  # as the others
    count = fields.whole("device_count", least=1)
    names = fields.texts("raids")
    if len(names) == 2 * count:
        images = tuple(zip(names[::2], names[1::2], strict=True))
    elif len(names) == count:
        images = tuple(("", name) for name in names)
    else:
        raise fields.fail(f"raids has {len(names)} names for {count} images")
    if count > MOST_LEGS:
        raise fields.fail(f"{count} images are more than can be")
    settings = [(name, fields.whole(key, 0)) for key, name in _RAID_SETTINGS]
    return Images(fields.whole("region_size", 0), images, tuple(each for each in settings if each[1]))


def _read_mirrors(fields: Fields, physical: Container[str], extents: int) -> Mirrors:  # noqa: ARG001  # as the others
    places = _read_places(fields, "mirrors", fields.whole("mirror_count", least=1), physical)
    return Mirrors(fields.whole("region_size", least=1), places, fields.text("mirror_log", ""))


def _read_nothing(fields: Fields, physical: Container[str], extents: int) -> Nothing:  # noqa: ARG001  # as the others
    return Nothing()


def _read_unread(fields: Fields, physical: Container[str], extents: int) -> Unread:  # noqa: ARG001  # as the others
    return Unread(tuple(fields.texts_but(_NO_REFERENCES)))


_READERS: dict[str, Callable[[Fields, Container[str], int], Mapping]] = {
    "striped": _read_stripes,
    "linear": _read_stripes,
    "raid1": _read_images,
    "mirror": _read_mirrors,
    "error": _read_nothing,
    "zero": _read_nothing,
}
"""A segment's type -> how it is read. A type that is not here is named, and its volume left out of tables."""
