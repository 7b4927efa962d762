"""An LVM2 group as a group document of our own: what `dvm metadata` and `dvm report` work on, made from its text.

It is a document and no more: the devices stay LVM2's, and nothing on them says otherwise. UUIDs are kept. Parts get the
names that parts have here (`home:data0` for `home_rimage_0`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from drystone.base.errors import RefusedError, UsageError
from drystone.base.sizes import SECTOR
from drystone.dvm.groups.group import Disk, Group
from drystone.dvm.groups.kinds import AnyVolume, Leg, Linear, Raid1, Row, Run, Striped, joined
from drystone.dvm.groups.rules import check_group
from drystone.dvm.lvm2.assembly import Assembled, Found
from drystone.dvm.lvm2.tables import Planner, is_visible
from drystone.formats.lvm2.group import LogicalVolume, PhysicalVolume
from drystone.formats.lvm2.segments import Images, Place, Stripes


def convert(assembled: Assembled, *, leave_out: bool = False) -> tuple[Group, dict[str, str]]:
    """The group's document, and the volumes that are not in it, with the reason.

    :param leave_out: go on without the volumes that a group document cannot hold. Their extents look free in it, so
        its devices are marked as not to be allocated from.
    :raises RefusedError: there are such volumes, and `leave_out` is false.
    :raises UsageError: the group as a whole cannot be such a document: its name, its extent size, its devices.
    """
    work = _Conversion(assembled)
    what = f"LVM2 group {assembled.group.name}"
    empty = work.group((), allocatable=True)
    check_group(empty, what)
    made: dict[str, list[AnyVolume]] = {}
    left_out: dict[str, str] = {}
    for volume in assembled.group.logical:
        if not is_visible(volume):
            continue
        if reason := work.reason(volume):
            left_out[volume.name] = reason
        else:
            made[volume.name] = work.volume(volume)
    left_out |= _find_unruly(empty, made)
    if left_out and not leave_out:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:4])
        raise RefusedError(
            f"{len(left_out)} volumes of {assembled.group.name} cannot be in a group document ({shown})",
            hint="--leave-out goes on without them; their extents look free then",
            left_out=left_out,
        )
    volumes = tuple(each for name, parts in made.items() if name not in left_out for each in parts)
    group = work.group(volumes, allocatable=not left_out)
    check_group(group, what)
    return group, left_out


def _find_unruly(empty: Group, made: Mapping[str, Sequence[AnyVolume]]) -> dict[str, str]:
    """Which of these volumes break a rule of group documents by their name, a tag or a size, and which rule."""
    found: dict[str, str] = {}
    try:
        check_group(structs.replace(empty, volumes=tuple(each for parts in made.values() for each in parts)))
    except UsageError:
        for name, parts in made.items():
            try:
                check_group(structs.replace(empty, volumes=tuple(parts)), name)
            except UsageError as error:
                found[name] = error.message.removeprefix(f"{name}: ")
    return found


class _Conversion:
    """One group on its way."""

    def __init__(self, assembled: Assembled) -> None:
        self._assembled = assembled
        self._extent = assembled.group.extent_size * SECTOR
        self._logical = {each.name: each for each in assembled.group.logical}
        self._uuids = {each.name: each.uuid for each in assembled.group.physical}
        # Which devices are there today is not the document's: a volume on a missing one is in it all the same.
        anywhere = {each.uuid: Found("", 1 << 62) for each in assembled.group.physical}
        self._planner = Planner(replace(assembled, found=anywhere))

    def reason(self, volume: LogicalVolume) -> str:
        """Why it cannot be in the document; "" when it can."""
        if reason := self._planner.reason(volume):
            return reason
        if "WRITE" not in volume.status:
            return "it is read-only, which a group document cannot say"
        mapping = volume.segments[0].mapping
        if not isinstance(mapping, Images):
            return self._reason_of_plain(volume)
        if not mapping.region or mapping.settings:
            return "its region size is not told, or it has recovery rates or write-behind of its own"
        for metadata, data in mapping.images:
            if not metadata:
                return f"{data} has no metadata beside it"
            for name in (metadata, data):
                part = self._logical[name]
                if "WRITEMOSTLY" in (*part.status, *part.flags):
                    return f"{name} is write-mostly, which a group document cannot say"
                if reason := self._reason_of_plain(part):
                    return f"{name}: {reason}"
        return ""

    def volume(self, volume: LogicalVolume) -> list[AnyVolume]:
        """The volume, and its parts, of one for which there is no reason against it."""
        mapping = volume.segments[0].mapping
        if not isinstance(mapping, Images):
            return [self._plain(volume, volume.name, None)]
        legs: list[Leg] = []
        parts: list[AnyVolume] = []
        for index, names in enumerate(mapping.images):
            metadata, data = (self._logical[name] for name in names)
            legs.append(Leg(data=data.uuid, metadata=metadata.uuid))
            parts.append(self._plain(metadata, f"{volume.name}:meta{index}", volume.uuid))
            parts.append(self._plain(data, f"{volume.name}:data{index}", volume.uuid))
        raid = Raid1(
            uuid=volume.uuid,
            name=volume.name,
            size=volume.extents * self._extent,
            tags=volume.tags,
            legs=tuple(legs),
            region=mapping.region * SECTOR,
            nosync="NOTSYNCED" in volume.status,
        )
        return [raid, *parts]

    def group(self, volumes: tuple[AnyVolume, ...], *, allocatable: bool) -> Group:
        """The group with these volumes."""
        whole = self._assembled.group
        return Group(
            name=whole.name,
            uuid=whole.uuid,
            extent_size=self._extent,
            tags=whole.tags,
            devices=tuple(self._device(each, allocatable=allocatable) for each in whole.physical),
            volumes=volumes,
        )

    def _device(self, physical: PhysicalVolume, *, allocatable: bool) -> Disk:
        """A device; `path` is where it is now."""
        found = self._assembled.found.get(physical.uuid)
        least = (physical.begin + physical.extents * self._assembled.group.extent_size) * SECTOR
        return Disk(
            uuid=physical.uuid,
            path=found.path if found else "",
            size=physical.size * SECTOR or max(least, found.size if found else 0),
            start=physical.begin * SECTOR,
            extents=physical.extents,
            tags=physical.tags,
            allocatable=allocatable and "ALLOCATABLE" in physical.status,
        )

    def _reason_of_plain(self, volume: LogicalVolume) -> str:
        mappings = [segment.mapping for segment in volume.segments]
        stripes = [mapping for mapping in mappings if isinstance(mapping, Stripes)]
        if len(stripes) < len(mappings):
            return f"segments of type {volume.segments[0].kind} have no kind in a group document"
        if not all(place.is_physical for mapping in stripes for place in mapping.places):
            return "it stands on other volumes"
        if len({(mapping.chunk, len(mapping.places) > 1) for mapping in stripes}) > 1:
            return "it is linear in part and striped in part, or has chunks of several sizes"
        return ""

    def _plain(self, volume: LogicalVolume, name: str, part_of: str | None) -> AnyVolume:
        size = volume.extents * self._extent
        rows: list[tuple[Run, ...]] = []
        chunk = 0
        for segment in volume.segments:
            assert isinstance(segment.mapping, Stripes), "others have a reason against them"
            chunk = segment.mapping.chunk * SECTOR
            rows.append(self._runs(segment.mapping.places, segment.extents // len(segment.mapping.places)))
        if chunk:
            return Striped(
                uuid=volume.uuid, name=name, size=size, tags=volume.tags, part_of=part_of, chunk=chunk,
                rows=tuple(map(Row, rows)),
            )  # fmt: skip
        runs = joined([run for row in rows for run in row])
        return Linear(uuid=volume.uuid, name=name, size=size, tags=volume.tags, part_of=part_of, segments=runs)

    def _runs(self, places: Sequence[Place], count: int) -> tuple[Run, ...]:
        return tuple(Run(self._uuids[place.on], place.extent, count) for place in places)
