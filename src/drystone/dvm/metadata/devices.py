"""A new group, and its devices: added, dropped, closed for new extents."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from drystone.base.errors import ExistsError, RefusedError, UsageError
from drystone.dvm.discovery.devices import GroupDevice as FoundDevice
from drystone.dvm.groups.group import Disk, Group, Index
from drystone.dvm.groups.rules import PAGE, check_group
from drystone.dvm.metadata.edit import Ids, replaced

EXTENT_SIZE = 4 << 20
"""Bytes of an extent unless another size is asked for."""
ALIGNMENT = 1 << 20
"""Bytes: extents begin at a multiple of it."""


def new_group(
    name: str, found: Sequence[FoundDevice], ids: Ids, *, uuid: str = "", extent_size: int = EXTENT_SIZE
) -> Group:
    """A group without volumes over the devices that `dvm discover` found.

    :param uuid: of the group; a new one when it is "".
    :raises UsageError: a wrong name or extent size, or a device that has no room.
    """
    group = Group(name=name, uuid=uuid or ids(), extent_size=extent_size)
    check_group(group)
    return add_devices(group, found)


def add_devices(group: Group, found: Sequence[FoundDevice]) -> Group:
    """The group with devices added at the end.

    :raises ExistsError: one is in the group already. :raises UsageError: one has no room, or is missing.
    """
    known = Index(group).devices
    for each in found:
        if each.uuid in known:
            raise ExistsError(f"{each.path or each.uuid} is in group {group.name} already", device=each.uuid)
        if each.missing:
            raise UsageError(f"device {each.uuid} is missing and cannot be added")
    return replaced(group, devices=(*group.devices, *(_measure(group.extent_size, each) for each in found)))


def drop_device(group: Group, reference: str) -> Group:
    """The group without a device.

    :raises NotFoundError: no such device. :raises UsageError: volumes have extents on it.
    """
    index = Index(group)
    device = index.find_device(reference)
    users = users_of(index, device.uuid)
    if users:
        raise UsageError(
            f"{device.path or device.uuid} is in use by {', '.join(users[:8])}",
            hint="move the extents away first: dvm metadata move",
            device=device.uuid,
        )
    return replaced(group, devices=tuple(each for each in group.devices if each is not device))


def change_device(group: Group, reference: str, *, allocatable: bool | None = None, path: str | None = None) -> Group:
    """The group with a device opened or closed for new extents, or with another hint at its path.

    :raises NotFoundError: no such device.
    """
    device = Index(group).find_device(reference)
    fields = {"allocatable": allocatable, "path": path}
    change = msgspec.structs.replace(device, **{name: value for name, value in fields.items() if value is not None})
    return replaced(group, devices=tuple(change if each is device else each for each in group.devices))


def users_of(index: Index, device: str) -> list[str]:
    """Names of the volumes that have extents on the device with that uuid, or are moving there."""
    return [
        volume.name
        for volume in index.group.volumes
        if any(place.device == device for run in volume.runs() for place in run.places())
    ]


def refresh_devices(group: Group, found: Sequence[FoundDevice]) -> Group:
    """The group with the paths and sizes of its devices as they were found. A device that grew has more extents.

    Missing devices, and those that are not in the group, are passed over.

    :raises RefusedError: a device is too small by now for what volumes have on it.
    """
    by_uuid = {each.uuid: each for each in found if not each.missing}
    highest: dict[str, int] = {}
    for volume in group.volumes:
        for run in volume.runs():
            for place in run.places():
                highest[place.device] = max(highest.get(place.device, 0), place.end)
    devices = []
    for device in group.devices:
        now = by_uuid.get(device.uuid)
        if now is not None:
            extents = _extents_from(device.start, group.extent_size, now)
            if extents < highest.get(device.uuid, 0):
                raise RefusedError(
                    f"{now.path} has room for {extents} extents, volumes have {highest[device.uuid]} of it",
                    hint="is it the right device? see dvm report segments --parts",
                    device=device.uuid,
                )
            device = msgspec.structs.replace(device, path=now.path, size=now.size, extents=extents)  # noqa: PLW2901
        devices.append(device)
    return replaced(group, devices=tuple(devices))


def _extents_from(start: int, extent_size: int, found: FoundDevice) -> int:
    """Extents between byte `start` and what comes next: a metadata region, or the end."""
    ends = [region.begin * PAGE for region in found.regions if region.begin * PAGE >= start]
    return max(0, min([found.size, *ends]) - start) // extent_size


def _measure(extent_size: int, found: FoundDevice) -> Disk:
    """The largest stretch of a device beside its first page (the label's) and its metadata regions."""
    begin, stretches = PAGE, []
    for region in sorted(found.regions, key=lambda region: region.begin):
        stretches.append((begin, region.begin * PAGE))
        begin = max(begin, region.end * PAGE)
    stretches.append((begin, found.size))
    best = (0, 0)
    for first, last in stretches:
        start = -(-first // ALIGNMENT) * ALIGNMENT
        best = max(best, (max(0, last - start) // extent_size, -start))
    extents, start = best[0], -best[1]
    if not extents:
        raise UsageError(
            f"{found.path or found.uuid} has no room for an extent of {extent_size} bytes", device=found.uuid
        )
    return Disk(uuid=found.uuid, path=found.path, size=found.size, start=start, extents=extents)
