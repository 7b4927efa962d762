"""The volume group as a document: its devices, and the volumes that are made of their extents.

    {"schema": "drystone.dvm.group", "version": 1, "name": "vg", "uuid": "...", "extent_size": 4194304,
     "devices": [{"uuid": "...", "path": "/dev/sda", "size": 1073741824, "start": 2097152, "extents": 255}],
     "volumes": [{"kind": "linear", "uuid": "...", "name": "db", "size": 8388608,
                  "segments": [{"device": "...", "begin": 0, "count": 2}]}]}

All sizes are whole bytes; `begin`, `count` and `extents` are extents. A document is whole or refused: see `check_group`
in `group_rules.py`. The kinds of volumes are in `kinds.py`, the format in docs/reference/group.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from drystone.base.errors import NotFoundError, UsageError
from drystone.dvm.groups.kinds import AnyVolume, Run

SCHEMA = "drystone.dvm.group"
VERSION = 1
"""The version of the schema that this code writes, and the only one that it reads."""


class Disk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A block device (or a file) of the group.

    :ivar path: where it was when it was added: a hint. Who knows better (`dvm discover`) says so at activation.
    :ivar size: bytes. :ivar start: the byte at which extent 0 begins. :ivar extents: how many there are.
    :ivar allocatable: whether new extents may be taken from it.
    """

    uuid: str
    path: str = ""
    size: int
    start: int
    extents: int
    tags: tuple[str, ...] = ()
    allocatable: bool = True


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """A volume group. Names and uuids are unique in it. `extent_size`: bytes, a power of two."""

    version: int = VERSION
    name: str
    uuid: str
    extent_size: int
    tags: tuple[str, ...] = ()
    devices: tuple[Disk, ...] = ()
    volumes: tuple[AnyVolume, ...] = ()


class Index:
    """A group's volumes and devices by uuid and name, built once. The group is not checked."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.devices = {device.uuid: device for device in group.devices}
        self.volumes: dict[str, AnyVolume] = {volume.uuid: volume for volume in group.volumes}
        self.by_name: dict[str, AnyVolume] = {volume.name: volume for volume in group.volumes}
        self._users: dict[str, list[AnyVolume]] | None = None

    def find(self, reference: str) -> AnyVolume:
        """The volume of that name, or with that uuid.

        :raises NotFoundError: there is none.
        """
        found = self.by_name.get(reference) or self.volumes.get(reference)
        if found is None:
            raise NotFoundError(
                f"there is no volume {reference!r} in group {self.group.name}",
                hint="dvm report lvs shows all",
                volume=reference,
            )
        return found

    def find_device(self, reference: str) -> Disk:
        """The device with that uuid, or at that path.

        :raises NotFoundError: there is none.
        """
        found = self.devices.get(reference) or next(
            (each for each in self.group.devices if each.path == reference), None
        )
        if found is None or not reference:
            raise NotFoundError(
                f"there is no device {reference!r} in group {self.group.name}",
                hint="dvm report pvs shows all",
                device=reference,
            )
        return found

    def users(self, uuid: str) -> list[AnyVolume]:
        """The volumes that are not there without the volume `uuid`."""
        if self._users is None:
            self._users = {}
            for volume in self.group.volumes:
                for needed in volume.needs():
                    self._users.setdefault(needed, []).append(volume)
        return self._users.get(uuid, [])

    def tree(self, volume: AnyVolume) -> Iterator[AnyVolume]:
        """The volume and all its parts, each before its own parts."""
        yield volume
        for part in volume.parts():
            yield from self.tree(self.volumes[part])

    def root(self, volume: AnyVolume) -> AnyVolume:
        """The volume that it is, through others, a part of; itself when it is no part."""
        while volume.part_of is not None:
            volume = self.volumes[volume.part_of]
        return volume

    def runs(self, volume: AnyVolume) -> Iterator[Run]:
        """The extents of the volume and all its parts."""
        for each in self.tree(volume):
            yield from each.runs()


def visible(group: Group) -> tuple[AnyVolume, ...]:
    """The volumes that are no parts."""
    return tuple(volume for volume in group.volumes if volume.part_of is None)


def device_name(group: str, volume: str) -> str:
    """The name in device-mapper: both parts with their hyphens doubled, and one between."""
    return f"{group.replace('-', '--')}-{volume.replace('-', '--')}"


def uuid_prefix(group: Group) -> str:
    """What the device-mapper UUIDs of the group's devices begin with."""
    return f"DRYSTONE-DVM-{group.uuid}-"


def check_version(version: int, what: str) -> None:
    """:raises UsageError: the schema's version is not ours."""
    if version != VERSION:
        raise UsageError(
            f"{what}: version {version} of {SCHEMA} is not known", hint=f"this program reads version {VERSION}"
        )
