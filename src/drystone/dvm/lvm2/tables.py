"""Device-mapper tables for the volumes of an LVM2 group: a desired state that `dvm.dmactivate` compiles.

Names and dm UUIDs are LVM2's own (`vg-home`, `LVM-` and both UUIDs), so a volume that LVM2 has activated is the same
device, and is not made a second time. What cannot be made right is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drystone.base.errors import NotFoundError, UnsupportedError
from drystone.base.sizes import SECTOR
from drystone.dvm.groups.group import device_name
from drystone.dvm.lvm2.assembly import Assembled
from drystone.dvm.references import LONGEST_NAME
from drystone.dvm.state import Device, Line, State, check_state, observe
from drystone.formats.lvm2.group import LogicalVolume, PhysicalVolume, find_disputed, stands_on
from drystone.formats.lvm2.segments import Images, Mirrors, Nothing, Place, Segment, Stripes, Unread
from drystone.formats.lvm2.uuid import without_dashes
from drystone.kernel.dm.abc import DeviceMapper
from drystone.kernel.dm.targets import Error, Leg, Linear, Mirror, Raid, RaidLeg, Striped, Target, Zero

_MOST_LAYERS = 16
_RAID_OPTIONS = (
    "nosync", "min_recovery_rate", "max_recovery_rate", "write_mostly", "max_write_behind", "region_size",
)  # fmt: skip
"""In the kernel's order."""
_CLUSTER_LOCKS = frozenset({"sanlock", "dlm", "idm", "clvm"})
_UNDER_WAY = {
    "PVMOVE": "it is part of a move that is under way",
    "LOCKED": "a move of its extents is under way",
    "CONVERTING": "it is being converted",
    "MERGING": "a snapshot is being merged into it",
    "REBUILD": "one of its images is to be rebuilt",
    "LV_REBUILD": "one of its images is to be rebuilt",
    "RESHAPE": "it is being reshaped",
}
"""A volume's status -> why no table is made: LVM2 has to finish that first."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The state, and what is not in it.

    :ivar left_out: volume -> reason; parts of others are told with those.
    :ivar notes: what should be known of a volume that is in the state, such as an image that is missing.
    """

    state: State
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def build_tables(assembled: Assembled, names: Sequence[str] = ()) -> Tables:
    """Tables for the visible volumes, or for those named, and for what they are made of.

    :raises NotFoundError: no such volume. :raises UnsupportedError: no table can be made for one that was named.
    """
    plan = Planner(assembled)
    wanted = [plan.find(name) for name in names] or [each for each in assembled.group.logical if is_visible(each)]
    left_out: dict[str, str] = {}
    devices: dict[str, Device] = {}
    notes: dict[str, str] = {}
    for volume in wanted:
        reason = plan.reason(volume)
        if reason and names:
            raise UnsupportedError(f"no table for {assembled.group.name}/{volume.name}: {reason}", volume=volume.name)
        if reason:
            left_out[volume.name] = reason
            continue
        for each in plan.tree(volume):
            devices.setdefault(each.name, plan.device(each))
            if note := plan.note(each):
                notes[each.name] = note
    state = State(tuple(devices.values()))
    check_state(state, f"tables of {assembled.group.name}")
    return Tables(state, left_out, notes)


def with_current(desired: State, dm: DeviceMapper, *, down: bool = False) -> dict[str, State]:
    """What `dvm dmactivate` takes on stdin: the current state of the devices of `desired`, of no others, and `desired`.

    What else LVM2 has active, of this group too, is in neither state, and so is left as it is.

    :param down: the state that is wanted is the one without these devices.
    """
    uuids = {device.uuid for device in desired.devices}
    return {"current": observe(dm, lambda entry: entry.uuid in uuids), "desired": State() if down else desired}


def is_visible(volume: LogicalVolume) -> bool:
    """Whether it is a volume of its own, no part of another."""
    return "VISIBLE" in volume.status


def reasons(assembled: Assembled) -> dict[str, str]:
    """Every volume -> why no table is made for it; "" where one is."""
    plan = Planner(assembled)
    return {volume.name: plan.reason(volume) for volume in assembled.group.logical}


class Planner:
    """What a table of each volume of one group takes, worked out once."""

    def __init__(self, assembled: Assembled) -> None:
        self.assembled = assembled
        self.group = assembled.group
        self._physical = {each.name: each for each in self.group.physical}
        self._logical = {each.name: each for each in self.group.logical}
        self._reasons: dict[str, str] = {}
        self._user = self._users_not_read()
        self._rival = find_disputed(self.group)
        self._layers = self._count_layers()

    def _users_not_read(self) -> dict[str, str]:
        """Volumes that something refers to that is not read here -> what that is."""
        found: dict[str, str] = {}
        for volume in self.group.logical:
            for segment in volume.segments:
                if isinstance(segment.mapping, Unread):
                    for name in segment.mapping.refers_to:
                        if name in self._logical and name != volume.name:
                            found.setdefault(name, f"it belongs to {volume.name}, of type {segment.kind}")
        return found

    def find(self, name: str) -> LogicalVolume:
        """:raises NotFoundError: there is no such volume."""
        if name not in self._logical:
            raise NotFoundError(f"there is no volume {name!r} in group {self.group.name}", volume=name)
        return self._logical[name]

    def reason(self, volume: LogicalVolume) -> str:
        """Why no table is made for it; "" when one is."""
        found = self._reasons.get(volume.name)
        if found is None:
            found = self._reason_of_itself(volume) or self._reason_of_parts(volume)
            self._reasons[volume.name] = found
        return found

    def tree(self, volume: LogicalVolume) -> list[LogicalVolume]:
        """The parts that a table of it takes, each before what stands on it, and itself."""
        found: dict[str, LogicalVolume] = {}
        self._collect(volume, found)
        return list(found.values())

    def note(self, volume: LogicalVolume) -> str:
        """What should be known of a volume whose table is made."""
        missing = [pair[1] for pair in self._images(volume) if self._leg_is_partial(pair)]
        return f"made without {', '.join(missing)}: a device is missing" if missing else ""

    def device(self, volume: LogicalVolume) -> Device:
        """The device of a volume for which there is no reason against it."""
        size = self.group.extent_size
        lines = []
        for segment in volume.segments:
            target = self._target(volume, segment)
            lines.append(Line(segment.start * size, segment.extents * size, target.kind, target.to_params()))
        return Device(
            name=self._name(volume.name),
            uuid=f"LVM-{without_dashes(self.group.uuid)}{without_dashes(volume.uuid)}",
            table=tuple(lines),
            read_only="WRITE" not in volume.status or "WRITE" not in self.group.status,
        )

    def _collect(self, volume: LogicalVolume, found: dict[str, LogicalVolume]) -> None:
        if volume.name not in found:
            for name in self._parts(volume):
                self._collect(self._logical[name], found)
            found[volume.name] = volume

    def _name(self, volume: str) -> str:
        return device_name(self.group.name, volume)

    def _count_layers(self) -> dict[str, int]:
        """Volume -> how many layers of volumes it is, itself included. One in a circle, or on one, is not there."""
        waiting = {name: set(self._parts(volume)) for name, volume in self._logical.items()}
        users: dict[str, list[str]] = {}
        for name, parts in waiting.items():
            for part in parts:
                users.setdefault(part, []).append(name)
        layers: dict[str, int] = {}
        ready = [name for name, parts in waiting.items() if not parts]
        for name in ready:  # it grows while it is walked
            layers[name] = 1 + max((layers[part] for part in self._parts(self._logical[name])), default=0)
            for user in users.get(name, ()):
                waiting[user].discard(name)
                if not waiting[user]:
                    ready.append(user)
        return layers

    def _reason_of_itself(self, volume: LogicalVolume) -> str:
        if "EXPORTED" in self.group.status:
            return "its group is exported"
        if "CLUSTERED" in self.group.status or self.group.lock_type in _CLUSTER_LOCKS:
            return "its group is shared by hosts: another may be using it"
        if not volume.segments:
            return "it has no extents"
        if len(self._name(volume.name)) > LONGEST_NAME:
            return f"its name with the group's is longer than device-mapper's {LONGEST_NAME} bytes"
        for word in (*volume.status, *volume.flags):
            if word in _UNDER_WAY:
                return _UNDER_WAY[word]
        for segment in volume.segments:
            if isinstance(segment.mapping, Unread):
                parts = [name for name in dict.fromkeys(segment.mapping.refers_to) if name in self._logical]
                made_of = f", with {', '.join(parts)}" if parts else ""
                return f"it is of type {segment.kind}{made_of}, which is not read"
            if isinstance(segment.mapping, Images) and len(volume.segments) > 1:
                return "raid1 and other segments in one volume are not read"
        return self._user.get(volume.name, "")

    def _reason_of_parts(self, volume: LogicalVolume) -> str:
        if self._layers.get(volume.name, _MOST_LAYERS + 1) > _MOST_LAYERS:
            return f"it stands on itself, or on more than {_MOST_LAYERS} layers of volumes"
        if rival := self._rival.get(volume.name):
            return f"{rival} stands on the same extents" if rival != volume.name else "it stands on some extents twice"
        for segment in volume.segments:
            for place, extents in _physical_places(segment):
                if reason := self._reason_of_place(self._physical[place.on], place.extent + extents):
                    return reason
        for name in self._parts(volume):
            if reason := self.reason(self._logical[name]):
                return f"{name}: {reason}"
        if (images := self._images(volume)) and all(map(self._leg_is_partial, images)):
            return "the devices of all its images are missing"
        return ""

    def _reason_of_place(self, physical: PhysicalVolume, end: int) -> str:
        found = self.assembled.locate(physical)
        if found is None:
            marked = "marked as missing" if physical.uuid in self.assembled.found else "missing"
            return f"{physical.name} {physical.uuid} is {marked}"
        if (physical.begin + end * self.group.extent_size) * SECTOR > found.size:
            return f"it ends beyond the end of {found.path}"
        return ""

    def _parts(self, volume: LogicalVolume) -> list[str]:
        """The volumes that its table names: images whose devices are missing are not among them."""
        images = self._images(volume)
        if not images:
            return list(dict.fromkeys(stands_on(volume)))
        return [name for pair in images for name in pair if name and not self._leg_is_partial(pair)]

    def _images(self, volume: LogicalVolume) -> tuple[tuple[str, str], ...]:
        mapping = volume.segments[0].mapping if volume.segments else None
        return mapping.images if isinstance(mapping, Images) else ()

    def _leg_is_partial(self, pair: tuple[str, str]) -> bool:
        return any(self._is_partial(name) for name in pair if name)

    def _is_partial(self, name: str) -> bool:
        """Whether an image, which stands on devices alone, stands on one that is missing."""
        return any(
            self.assembled.locate(self._physical[place.on]) is None
            for segment in self._logical[name].segments
            for place, _ in _physical_places(segment)
        )

    def _target(self, volume: LogicalVolume, segment: Segment) -> Target:
        match segment.mapping:
            case Stripes(places=(place,)):
                return Linear(*self._leg(place))
            case Stripes(chunk=chunk, places=places):
                return Striped(chunk, tuple(self._leg(place) for place in places))
            case Mirrors(region=region, places=places, log=log):
                sync = "nosync" if "NOTSYNCED" in volume.status else ""
                log_device = f"{{{self._name(log)}}}" if log else None
                return Mirror(tuple(map(self._leg, places)), region, log_device, sync, handle_errors=True)
            case Images() as images:
                return self._raid(volume, images)
            case Nothing():
                return Error() if segment.kind == "error" else Zero()
            case Unread():
                raise AssertionError(segment.kind)

    def _raid(self, volume: LogicalVolume, mapping: Images) -> Raid:
        legs = [
            RaidLeg("-", "-") if self._leg_is_partial(pair) else RaidLeg(*(self._reference(name) for name in pair))
            for pair in mapping.images
        ]
        options = [("nosync", "")] if "NOTSYNCED" in volume.status else []
        for index, (_, data) in enumerate(mapping.images):
            image = self._logical[data]
            if "WRITEMOSTLY" in image.status or "WRITEMOSTLY" in image.flags:
                options.append(("write_mostly", str(index)))
        options += [(name, str(value)) for name, value in mapping.settings]
        options += [("region_size", str(mapping.region))] if mapping.region else []
        return Raid("raid1", 0, tuple(legs), tuple(sorted(options, key=lambda each: _RAID_OPTIONS.index(each[0]))))

    def _reference(self, name: str) -> str:
        return f"{{{self._name(name)}}}" if name else "-"

    def _leg(self, place: Place) -> Leg:
        offset = place.extent * self.group.extent_size
        if not place.is_physical:
            return Leg(self._reference(place.on), offset)
        physical = self._physical[place.on]
        found = self.assembled.locate(physical)
        assert found is not None, "a volume with a missing device has a reason"
        return Leg(found.path, physical.begin + offset)


def _physical_places(segment: Segment) -> list[tuple[Place, int]]:
    match segment.mapping:
        case Stripes(places=places):
            return [(place, segment.extents // len(places)) for place in places if place.is_physical]
        case Mirrors(places=places):
            return [(place, segment.extents) for place in places if place.is_physical]
        case _:
            return []
