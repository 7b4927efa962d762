"""A volume group as its text tells it: values, checked for what would make a table wrong.

Sizes are sectors of 512 bytes or extents, as the text has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.fields import LARGEST, Fields
from drystone.formats.lvm2.segments import Images, Mirrors, Place, Segment, Stripes, read_segment
from drystone.formats.lvm2.syntax import Section, parse

CONTENTS = "Text Format Volume Group"
VERSION = 1


@dataclass(frozen=True, slots=True)
class PhysicalVolume:
    """A device of the group.

    :ivar name: within the text, such as `pv0`; volumes refer to it.
    :ivar hint: the path that it had when the text was written.
    :ivar size: sectors; 0: not told. :ivar begin: sectors before its first extent. :ivar extents: how many it has.
    :ivar status: such as ALLOCATABLE. :ivar flags: such as MISSING.
    """

    name: str
    uuid: str
    hint: str
    size: int
    begin: int
    extents: int
    status: tuple[str, ...]
    flags: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A volume. Those that others are made of (images, logs) have no VISIBLE in `status`.

    :ivar created: seconds since 1970; 0: not told. :ivar allocation: its own policy; "": the group's.
    """

    name: str
    uuid: str
    status: tuple[str, ...]
    flags: tuple[str, ...]
    tags: tuple[str, ...]
    created: int
    host: str
    allocation: str
    segments: tuple[Segment, ...]

    @property
    def extents(self) -> int:
        """How many extents it has."""
        return sum(segment.extents for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Group:
    """A volume group at one moment.

    :ivar number: LVM2's seqno, one more with every change. :ivar extent_size: sectors.
    :ivar description: what made this text. :ivar created: seconds since 1970, when.
    """

    name: str
    uuid: str
    number: int
    status: tuple[str, ...]
    flags: tuple[str, ...]
    tags: tuple[str, ...]
    extent_size: int
    max_volumes: int
    max_devices: int
    allocation: str
    system_id: str
    lock_type: str
    physical: tuple[PhysicalVolume, ...]
    logical: tuple[LogicalVolume, ...]
    description: str
    host: str
    created: int


def parse_group(data: bytes) -> Group:
    """A group from a whole text, of a metadata area or of LVM2's own backup files.

    :raises DamagedError: no whole text of a group, or one that cannot be: places beyond the end of what they are on,
        extents that two segments claim, segments with gaps, names or UUIDs that stand for two things.
    """
    whole = parse(data)
    about = Fields(whole, "text")
    if (found := about.text("contents")) != CONTENTS:
        raise about.fail(f"contents is {found[:60]!r}, {CONTENTS!r} was expected")
    if (version := about.whole("version")) != VERSION:
        raise about.fail(f"version {version} is not known")
    names = [name for name, value in whole.items() if isinstance(value, dict)]
    if len(names) != 1:
        raise about.fail(f"{len(names)} sections, one group was expected")
    group = _read_group(about.check_name(names[0]), about.section(names[0]), about, whole)
    _check(group)
    return group


def _read_group(name: str, fields: Fields, about: Fields, whole: Section) -> Group:
    fields.where = name
    physical = tuple(_read_physical(key, each) for key, each in fields.sections("physical_volumes"))
    keys = frozenset(each.name for each in physical)
    return Group(
        name=name,
        uuid=fields.uuid(),
        number=fields.whole("seqno"),
        status=fields.texts("status"),
        flags=fields.texts("flags"),
        tags=fields.texts("tags"),
        extent_size=fields.whole("extent_size", least=1),
        max_volumes=fields.whole("max_lv", 0),
        max_devices=fields.whole("max_pv", 0),
        allocation=fields.text("allocation_policy", "normal"),
        system_id=fields.text("system_id", ""),
        lock_type=fields.text("lock_type", ""),
        physical=physical,
        logical=tuple(_read_logical(key, each, keys) for key, each in fields.sections("logical_volumes")),
        description=about.text("description", ""),
        host=about.text("creation_host", ""),
        created=about.whole("creation_time", 0) if "creation_time" in whole else 0,
    )


def _read_physical(name: str, fields: Fields) -> PhysicalVolume:
    return PhysicalVolume(
        name=name,
        uuid=fields.uuid(),
        hint=fields.text("device", ""),
        size=fields.whole("dev_size", 0),
        begin=fields.whole("pe_start"),
        extents=fields.whole("pe_count"),
        status=fields.texts("status"),
        flags=fields.texts("flags"),
        tags=fields.texts("tags"),
    )


def _read_logical(name: str, fields: Fields, physical: frozenset[str]) -> LogicalVolume:
    count = fields.whole("segment_count")
    segments = tuple(read_segment(fields.section(f"segment{n + 1}"), physical) for n in range(count))
    expected = 0
    for segment in segments:
        if segment.start != expected:
            raise fields.fail(f"a segment begins at extent {segment.start}, {expected} was expected")
        expected += segment.extents
    return LogicalVolume(
        name=name,
        uuid=fields.uuid(),
        status=fields.texts("status"),
        flags=fields.texts("flags"),
        tags=fields.texts("tags"),
        created=fields.whole("creation_time", 0),
        host=fields.text("creation_host", ""),
        allocation=fields.text("allocation_policy", ""),
        segments=segments,
    )


def _check(group: Group) -> None:
    """What no section can say alone.

    :raises DamagedError: naming the volume.
    """
    for volumes in (group.physical, group.logical):
        uuids = {each.uuid for each in volumes}
        if len(uuids) != len(volumes):
            raise DamagedError(f"{group.name}: two volumes have the same UUID")
    room = {each.name: each.extents for each in group.physical}
    sizes = {each.name: each.extents for each in group.logical}
    used: dict[str, list[tuple[int, int, str]]] = {}
    for volume in group.logical:
        where = f"{group.name}/{volume.name}"
        if volume.extents * group.extent_size > LARGEST:
            raise DamagedError(f"{where} is larger than a device can be")
        for place, length in (each for segment in volume.segments for each in _occupied(segment)):
            most = (room if place.is_physical else sizes).get(place.on)
            if most is None:
                raise DamagedError(f"{where} is on {place.on[:40]!r}, which is not in the text")
            if place.extent + length > most:
                raise DamagedError(f"{where} ends beyond the {most} extents of {place.on}")
            if place.is_physical:
                used.setdefault(place.on, []).append((place.extent, place.extent + length, volume.name))
    for name, stretches in used.items():
        _check_stretches(f"{group.name}: extent", name, stretches)


def _check_stretches(what: str, on: str, stretches: list[tuple[int, int, str]]) -> None:
    """:raises DamagedError: two of them (begin, end, volume) overlap."""
    for (_, end, one), (begin, _, other) in pairwise(sorted(stretches)):
        if begin < end:
            raise DamagedError(f"{what} {begin} of {on} is in {one} and in {other}")


def find_disputed(group: Group) -> dict[str, str]:
    """Volume -> another one, or itself, that stands on the same extents of a volume: only one can have them."""
    used: dict[str, list[tuple[int, int, str]]] = {}
    for volume in group.logical:
        for place, length in (each for segment in volume.segments for each in _occupied(segment)):
            if not place.is_physical:
                used.setdefault(place.on, []).append((place.extent, place.extent + length, volume.name))
    found: dict[str, str] = {}
    for stretches in used.values():
        furthest, owner = 0, ""
        for begin, end, name in sorted(stretches):
            if begin < furthest:
                found.setdefault(name, owner)
                found.setdefault(owner, name)
            if end > furthest:
                furthest, owner = end, name
    return found


def _occupied(segment: Segment) -> list[tuple[Place, int]]:
    """What a segment stands on: places, and how many extents of each."""
    match segment.mapping:
        case Stripes(places=places):
            return [(place, segment.extents // len(places)) for place in places]
        case Mirrors(places=places, log=log):
            found = [(place, segment.extents) for place in places]
            return [*found, (Place(log, 0, False), 1)] if log else found
        case Images(images=images):
            found = [(Place(data, 0, False), segment.extents) for _, data in images]
            return found + [(Place(metadata, 0, False), 1) for metadata, _ in images if metadata]
        case _:
            return []


def stands_on(volume: LogicalVolume) -> tuple[str, ...]:
    """The names of the volumes that a volume's segments are on, as far as their kinds are read."""
    occupied = (each for segment in volume.segments for each in _occupied(segment))
    return tuple(place.on for place, _ in occupied if not place.is_physical)
