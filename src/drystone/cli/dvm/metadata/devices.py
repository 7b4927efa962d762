"""Mutators of the group's devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.metadata.document import SIZE, group_options, mutate, seed_option
from drystone.cli.dvm.plain.mutators import ids
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document
from drystone.cli.input import name_input, read_input

if TYPE_CHECKING:
    from drystone.dvm.discovery.devices import Devices

devices_option = click.option(
    "--devices", "found", default="-", metavar="FILE", help="What dvm discover find prints; stdin without."
)


@click.command(cls=Tool)
@errors_as_json
@devices_option
@seed_option
@click.option("--extent-size", type=SIZE, default="4m", show_default=True, help="A power of two.")
def init(found: str, seed: str | None, extent_size: int) -> None:
    """Print a group without volumes over the devices that `dvm discover find` found.

    \b
    Example:
      dvm discover find vg | dvm metadata init --extent-size 1m
    """
    from drystone.dvm.discovery.devices import parse_devices
    from drystone.dvm.metadata.devices import new_group

    document = parse_devices(read_input(found), name_input(found))
    group, make = document.group, ids(seed)
    print_document(new_group(group.name, document.devices, make, uuid=group.uuid, extent_size=extent_size))


@click.command("add-device", cls=Tool)
@group_options
@click.option("--devices", "found", required=True, metavar="FILE", help="What dvm discover find prints.")
def add_device(file: str, found: str) -> None:
    """Take in those devices that were found and are not in the group yet.

    \b
    Example:
      dvm discover find vg > devices.json; dvm metadata add-device --devices devices.json < vg.json
    """
    from drystone.dvm.groups.group import Group
    from drystone.dvm.metadata.devices import add_devices

    document = _read_devices(file, found)

    def change(group: Group) -> Group:
        known = {device.uuid for device in group.devices}
        return add_devices(group, [each for each in document.devices if each.uuid not in known])

    mutate(file, change)


@click.command("drop-device", cls=Tool)
@group_options
@click.argument("device")
def drop_device(file: str, device: str) -> None:
    """Let DEVICE (its uuid or path) go. It must hold nothing: see `dvm metadata move`.

    \b
    Example:
      dvm metadata drop-device /dev/sdc < vg.json > new.json
    """
    from drystone.dvm.metadata import devices as mutators

    mutate(file, lambda group: mutators.drop_device(group, device))


@click.command("change-device", cls=Tool)
@group_options
@click.option("--allocatable/--not-allocatable", default=None, help="Whether new extents may be taken from it.")
@click.option("--path", metavar="PATH", help="The hint where it is.")
@click.argument("device")
def change_device(file: str, allocatable: bool | None, path: str | None, device: str) -> None:
    """Open or close DEVICE (its uuid or path) for new extents, or note another path.

    \b
    Example:
      dvm metadata change-device /dev/sdc --not-allocatable < vg.json > new.json
    """
    from drystone.dvm.metadata import devices as mutators

    mutate(file, lambda group: mutators.change_device(group, device, allocatable=allocatable, path=path))


@click.command("refresh-devices", cls=Tool)
@group_options
@click.option("--devices", "found", required=True, metavar="FILE", help="What dvm discover find prints.")
def refresh_devices(file: str, found: str) -> None:
    """Note where the group's devices are now, and how large: one that grew has more extents.

    \b
    Example:
      dvm discover find vg > devices.json; dvm metadata refresh-devices --devices devices.json < vg.json
    """
    from drystone.dvm.discovery.devices import require_group
    from drystone.dvm.groups.group import Group
    from drystone.dvm.metadata import devices as mutators

    document = _read_devices(file, found)

    def change(group: Group) -> Group:
        require_group(document, group.uuid)
        return mutators.refresh_devices(group, document.devices)

    mutate(file, change)


def _read_devices(file: str, found: str) -> Devices:
    from drystone.dvm.discovery.devices import parse_devices

    if file == found == "-":
        raise UsageError("stdin cannot hold both documents", hint="--devices FILE")
    return parse_devices(read_input(found), name_input(found))
