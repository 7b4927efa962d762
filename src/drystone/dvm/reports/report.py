"""Reports: what is in a group, as rows of values. Functions of the group, of where its devices are, and of what
device-mapper says, if that is known. The rows are in `report_rows.py`.

`REPORTS` maps the name of a report to the function that makes its rows. `lvm_report.py` spells the rows as LVM2 does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from drystone.dvm.groups.allocation import free_extents, free_room
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Linear, Raid, Run, Snapshot, Striped, Thin, ThinPool
from drystone.dvm.reports.rows import (
    SCHEMA,
    VERSION,
    DeviceRow,
    GroupRow,
    LiveColumns,
    Report,
    SegmentRow,
    VolumeRow,
)

if TYPE_CHECKING:
    from drystone.dvm.reports.live import Live, LiveDevice


class Subject:
    """What is reported on.

    :param paths: device uuid -> path, of those that are there. :param live: None when nobody asked.
    :param parts: whether parts of volumes are reported, too.
    """

    def __init__(self, group: Group, paths: Mapping[str, str], live: Live | None = None, parts: bool = False) -> None:
        self.group = group
        self.paths = paths
        self.live = live
        self.parts = parts
        self.index = Index(group)
        self.devices: dict[str, LiveDevice] = live.by_uuid() if live is not None else {}

    def volumes(self) -> list[AnyVolume]:
        """Those that are reported, by name."""
        chosen = [each for each in self.group.volumes if self.parts or each.part_of is None]
        return sorted(chosen, key=lambda each: each.name)

    def path(self, uuid: str) -> str:
        """Where a device is; its hint, or its uuid, when it is not there."""
        return self.paths.get(uuid) or self.index.devices[uuid].path or uuid


def report(subject: Subject, names: tuple[str, ...]) -> Report:
    """The reports of these names, each with its rows."""
    return Report(SCHEMA, VERSION, **{name: tuple(REPORTS[name](subject)) for name in names})


def _groups(subject: Subject) -> list[GroupRow]:
    group = subject.group
    total = sum(device.extents for device in group.devices)
    free = sum(map(free_extents, free_room(group).values()))
    shown = [volume for volume in group.volumes if volume.part_of is None]
    return [
        GroupRow(
            name=group.name,
            uuid=group.uuid,
            extent_size=group.extent_size,
            extents=total,
            free_extents=free,
            size=total * group.extent_size,
            free=free * group.extent_size,
            devices=len(group.devices),
            missing=sum(device.uuid not in subject.paths for device in group.devices),
            volumes=len(shown),
            snapshots=sum(isinstance(volume, Snapshot) for volume in shown),
            tags=group.tags,
        )
    ]


def _devices(subject: Subject) -> list[DeviceRow]:
    group, room = subject.group, free_room(subject.group)
    rows = []
    for device in group.devices:
        free = free_extents(room[device.uuid])
        rows.append(
            DeviceRow(
                path=subject.path(device.uuid),
                uuid=device.uuid,
                group=group.name,
                size=device.extents * group.extent_size,
                free=free * group.extent_size,
                used=(device.extents - free) * group.extent_size,
                device_size=device.size,
                start=device.start,
                extents=device.extents,
                free_extents=free,
                allocatable=device.allocatable,
                missing=device.uuid not in subject.paths,
                tags=device.tags,
            )
        )
    return rows


def _volumes(subject: Subject) -> list[VolumeRow]:
    return [_volume(subject, volume) for volume in subject.volumes()]


def _volume(subject: Subject, volume: AnyVolume) -> VolumeRow:
    index = subject.index
    below = _below(index, volume)
    used = dict.fromkeys(place.device for each in below for run in each.runs() for place in run.places())
    pool = volume.pool if isinstance(volume, Thin) else None
    origin = volume.origin if isinstance(volume, Thin | Snapshot) else None
    return VolumeRow(
        name=volume.name,
        uuid=volume.uuid,
        group=subject.group.name,
        kind=volume.kind,
        size=volume.size,
        part_of=index.volumes[volume.part_of].name if volume.part_of else None,
        pool=index.volumes[pool].name if pool else None,
        origin=index.volumes[origin].name if origin else None,
        devices=tuple(subject.path(uuid) for uuid in used),
        missing=tuple(subject.path(uuid) for uuid in used if uuid not in subject.paths),
        moving=any(run.to is not None for each in below for run in each.runs()),
        tags=volume.tags,
        live=_live(subject, volume),
    )


def _below(index: Index, volume: AnyVolume) -> list[AnyVolume]:
    """The volume and all that it needs."""
    found: dict[str, AnyVolume] = {}
    waiting = [volume]
    while waiting:
        each = waiting.pop(0)
        if each.uuid not in found:
            found[each.uuid] = each
            waiting += [index.volumes[uuid] for uuid in each.needs()]
    return list(found.values())


def _live(subject: Subject, volume: AnyVolume) -> LiveColumns | None:
    if subject.live is None:
        return None
    from drystone.dvm.reports.live_columns import live_columns

    return live_columns(subject.group, subject.devices, volume)


def _segments(subject: Subject) -> list[SegmentRow]:
    rows = []
    extent = subject.group.extent_size
    for volume in subject.volumes():
        start = 0
        for legs, chunk in _stretches(volume):
            size = sum(run.count for run in legs) * extent if legs else volume.size
            names = tuple(subject.index.volumes[uuid].name for uuid in volume.needs())
            rows.append(
                SegmentRow(
                    volume=volume.name,
                    group=subject.group.name,
                    kind=volume.kind,
                    start=start,
                    size=size,
                    legs=len(legs) or (len(volume.legs) if isinstance(volume, Raid) else 1),
                    chunk=chunk,
                    on=tuple(_spell(subject, run) for run in legs) or names,
                    to=tuple(_spell(subject, place) for run in legs for place in list(run.places())[1:]),
                )
            )
            start += size
    return rows


def _stretches(volume: AnyVolume) -> list[tuple[tuple[Run, ...], int]]:
    """The legs and the chunk of each stretch; no legs for what is on other volumes."""
    if isinstance(volume, Linear):
        return [((run,), 0) for run in volume.segments]
    if isinstance(volume, Striped):
        return [(row.legs, volume.chunk) for row in volume.rows]
    return [
        ((), volume.chunk_size if isinstance(volume, Raid) else volume.block if isinstance(volume, ThinPool) else 0)
    ]


def _spell(subject: Subject, run: Run) -> str:
    return f"{subject.path(run.device)}:{run.begin}-{run.end - 1}"


REPORTS: dict[str, Callable[[Subject], list[Any]]] = {
    "vgs": _groups,
    "pvs": _devices,
    "lvs": _volumes,
    "segments": _segments,
}
"""A report's name -> its rows."""
