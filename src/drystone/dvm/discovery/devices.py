"""The devices of a group as a document: what `dvm discover find` prints and the tools after it read.

    {"schema": "drystone.dvm.devices", "version": 1,
     "group": {"name": "vg", "uuid": "..."},
     "devices": [{"uuid": "...", "path": "/dev/sdb", "size": 8589934592, "aliases": ["/dev/disk/by-id/..."],
                  "regions": [{"begin": 1, "end": 257}], "missing": false}],
     "notes": [{"code": "resized", "device": "/dev/sdb", "message": "..."}]}

Sizes are bytes; begin and end are pages of 4096 bytes, end exclusive.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import MismatchError, UsageError


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pages [begin, end) of a device."""

    begin: int
    end: int


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that people should know of a device, which is no failure yet."""

    code: str
    message: str
    device: str = ""


class GroupDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device of the group.

    :ivar path: where it is; "" when it is missing. :ivar size: bytes; 0 when it is missing.
    :ivar aliases: the other paths that lead to it. :ivar regions: where its metadata is.
    """

    uuid: str
    path: str
    size: int
    aliases: tuple[str, ...] = ()
    regions: tuple[Span, ...] = ()
    missing: bool = False


class GroupReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which group."""

    name: str
    uuid: str


class Devices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A group's devices: those that are there by path, then the missing ones."""

    schema: Literal["drystone.dvm.devices"] = "drystone.dvm.devices"
    version: Literal[1] = 1
    group: GroupReference
    devices: tuple[GroupDevice, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def present(self) -> tuple[GroupDevice, ...]:
        """Those that are there."""
        return tuple(each for each in self.devices if not each.missing)

    @property
    def missing(self) -> tuple[GroupDevice, ...]:
        """Those that are not."""
        return tuple(each for each in self.devices if each.missing)


class Groups(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All groups of a machine, and what of its devices could not be read."""

    schema: Literal["drystone.dvm.groups"] = "drystone.dvm.groups"
    version: Literal[1] = 1
    groups: tuple[Devices, ...] = ()
    notes: tuple[Note, ...] = ()


def parse_devices(data: bytes | str, what: str = "devices") -> Devices:
    """The document from its JSON text.

    :raises UsageError: no JSON, another schema or version, a device twice, or regions that cannot be.
    """
    try:
        found = decode(data, Devices, what)
    except UsageError as error:
        raise UsageError(error.message, hint="dvm discover find prints it: docs/reference/transact.md") from error
    uuids = [each.uuid for each in found.devices]
    paths = [each.path for each in found.devices if not each.missing]
    for values, name in ((uuids, "uuid"), (paths, "path")):
        if len(set(values)) != len(values):
            twice = next(left for left, right in pairwise(sorted(values)) if left == right)
            raise UsageError(f"{what}: two devices have the {name} {twice}")
    for device in found.devices:
        if not device.missing and not device.path:
            raise UsageError(f"{what}: device {device.uuid} has no path, and is not marked as missing")
        least = 0
        for span in device.regions:
            if not least <= span.begin < span.end:
                raise UsageError(f"{what}: the regions of {device.path or device.uuid} overlap, or are out of order")
            least = span.end
    return found


def require_group(devices: Devices, reference: str) -> None:
    """Nothing when `reference` is the name or uuid of the group that the document is about.

    :raises MismatchError: it is not.
    """
    if reference not in (devices.group.name, devices.group.uuid):
        raise MismatchError(
            f"the devices are of the group {devices.group.name!r}, not of {reference!r}",
            hint=f"dvm discover find {reference}",
        )
