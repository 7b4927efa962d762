"""Groups as a document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from drystone.base.sizes import SECTOR
from drystone.dvm.lvm2.assembly import Assembled
from drystone.dvm.lvm2.entries import Entry, format_time
from drystone.dvm.lvm2.tables import is_visible, reasons
from drystone.formats.lvm2.group import Group, LogicalVolume, PhysicalVolume
from drystone.formats.lvm2.segments import Images, Mirrors, Place, Segment, Stripes


class PlaceEntry(Entry, frozen=True):
    """Extents from `extent` on of a device (by its name in the text) or of a volume."""

    on: str
    extent: int


class SegmentEntry(Entry, frozen=True, omit_defaults=True):
    """Extents [start, start + extents) of a volume.

    :ivar type: as in the text, where a linear stretch is `striped` too. :ivar chunk, region: bytes.
    :ivar images: volumes of raid1. :ivar metadata: the small volumes beside them.
    :ivar log: the volume of a mirror's log.
    """

    start: int
    extents: int
    type: str
    chunk: int = 0
    region: int = 0
    places: tuple[PlaceEntry, ...] = ()
    images: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    log: str = ""


class VolumeEntry(Entry, frozen=True):
    """A logical volume. `left_out`: why no table is made for it; "" where one is."""

    name: str
    uuid: str
    size: int
    extents: int
    visible: bool
    status: tuple[str, ...]
    flags: tuple[str, ...]
    tags: tuple[str, ...]
    allocation: str
    created: str | None
    host: str
    segments: tuple[SegmentEntry, ...]
    left_out: str


class GroupDeviceEntry(Entry, frozen=True):
    """A physical volume as the group's text has it. `path`: where it is now; "" when it is missing.

    :ivar size: of the device when the text was written. :ivar start: where extent 0 begins.
    :ivar free: extents that no volume has.
    """

    name: str
    uuid: str
    path: str
    hint: str
    size: int
    start: int
    extents: int
    free: int
    status: tuple[str, ...]
    flags: tuple[str, ...]
    tags: tuple[str, ...]


class GroupEntry(Entry, frozen=True):
    """A volume group.

    :ivar extents, free: of all its devices. :ivar written: when the text was made, `description` says by what.
    :ivar sources: devices that hold this text. :ivar stale: devices that hold an older one.
    """

    name: str
    uuid: str
    seqno: int
    status: tuple[str, ...]
    flags: tuple[str, ...]
    tags: tuple[str, ...]
    extent_size: int
    extents: int
    free: int
    max_volumes: int
    max_devices: int
    allocation: str
    system_id: str
    lock_type: str
    written: str | None
    description: str
    host: str
    sources: tuple[str, ...]
    stale: tuple[str, ...]
    problems: tuple[str, ...]
    devices: tuple[GroupDeviceEntry, ...]
    volumes: tuple[VolumeEntry, ...]


class GroupsDocument(Entry, frozen=True, kw_only=True):
    """The groups on the devices. `problems`: what is wrong on devices, a line each."""

    schema: Literal["drystone.dvm.lvm2.groups"] = "drystone.dvm.lvm2.groups"
    version: Literal[1] = 1
    groups: tuple[GroupEntry, ...]
    problems: tuple[str, ...]


def groups_document(groups: Iterable[Assembled], problems: Iterable[str]) -> GroupsDocument:
    """The groups, and what is wrong on devices."""
    return GroupsDocument(groups=tuple(map(_group, groups)), problems=tuple(problems))


def _group(assembled: Assembled) -> GroupEntry:
    group = assembled.group
    used = _used_extents(group)
    left_out = reasons(assembled)
    extents = sum(each.extents for each in group.physical)
    return GroupEntry(
        name=group.name,
        uuid=group.uuid,
        seqno=group.number,
        status=group.status,
        flags=group.flags,
        tags=group.tags,
        extent_size=group.extent_size * SECTOR,
        extents=extents,
        free=extents - sum(used.values()),
        max_volumes=group.max_volumes,
        max_devices=group.max_devices,
        allocation=group.allocation,
        system_id=group.system_id,
        lock_type=group.lock_type,
        written=format_time(group.created),
        description=group.description,
        host=group.host,
        sources=assembled.sources,
        stale=assembled.stale,
        problems=assembled.problems,
        devices=tuple(_group_device(assembled, each, used.get(each.name, 0)) for each in group.physical),
        volumes=tuple(_volume(group, each, left_out[each.name]) for each in group.logical),
    )


def _group_device(assembled: Assembled, physical: PhysicalVolume, used: int) -> GroupDeviceEntry:
    found = assembled.found.get(physical.uuid)
    return GroupDeviceEntry(
        name=physical.name,
        uuid=physical.uuid,
        path=found.path if found else "",
        hint=physical.hint,
        size=physical.size * SECTOR,
        start=physical.begin * SECTOR,
        extents=physical.extents,
        free=physical.extents - used,
        status=physical.status,
        flags=physical.flags,
        tags=physical.tags,
    )


def _volume(group: Group, volume: LogicalVolume, left_out: str) -> VolumeEntry:
    return VolumeEntry(
        name=volume.name,
        uuid=volume.uuid,
        size=volume.extents * group.extent_size * SECTOR,
        extents=volume.extents,
        visible=is_visible(volume),
        status=volume.status,
        flags=volume.flags,
        tags=volume.tags,
        allocation=volume.allocation,
        created=format_time(volume.created),
        host=volume.host,
        segments=tuple(map(_segment, volume.segments)),
        left_out=left_out,
    )


def _segment(segment: Segment) -> SegmentEntry:
    entry = SegmentEntry(segment.start, segment.extents, segment.kind)
    change = msgspec.structs.replace
    match segment.mapping:
        case Stripes(chunk=chunk, places=places):
            return change(entry, chunk=chunk * SECTOR, places=_places(places))
        case Mirrors(region=region, places=places, log=log):
            return change(entry, region=region * SECTOR, places=_places(places), log=log)
        case Images(region=region, images=images):
            names = tuple(data for _, data in images)
            return change(
                entry, region=region * SECTOR, images=names, metadata=tuple(name for name, _ in images if name)
            )
        case _:
            return entry


def _places(places: Iterable[Place]) -> tuple[PlaceEntry, ...]:
    return tuple(PlaceEntry(place.on, place.extent) for place in places)


def _used_extents(group: Group) -> dict[str, int]:
    """Physical volume -> extents that volumes have."""
    used: dict[str, int] = {}
    for volume in group.logical:
        for segment in volume.segments:
            if isinstance(segment.mapping, Stripes | Mirrors):
                share = len(segment.mapping.places) if isinstance(segment.mapping, Stripes) else 1
                for place in segment.mapping.places:
                    if place.is_physical:
                        used[place.on] = used.get(place.on, 0) + segment.extents // share
    return used
