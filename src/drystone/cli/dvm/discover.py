"""`dvm discover`: the devices of a group, by their labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.configuration import config_option
from drystone.cli.dvm.host import make_place
from drystone.cli.dvm.plain.groups import print_devices
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document
from drystone.cli.output import HELP, Function, print_table

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration

_REGION = re.compile("[0-9]*:[0-9]*")

file_option = click.option(
    "--file", "files", multiple=True, metavar="FILE", help="A plain file that stands for a device; may be repeated."
)
text_option = click.option("--text", is_flag=True, help="A table for people instead of JSON.")


def place_options(function: Function) -> Function:
    """The options that say where labels are looked for."""
    return config_option(file_option(errors_as_json(function)))


@click.group(context_settings=HELP)
def discover() -> None:
    """Devices and their groups, by the labels that they carry.

    A label says which group a device belongs to and where on it the group's metadata is. Devices are looked for below
    /dev, as far as the configuration's filters let them; plain files are named by --file or in the configuration.

    \b
    Examples:
      dvm discover add vg /dev/sdb               a new group, or one device more
      dvm discover find vg | dvm transact read vg
    """


@discover.command(cls=Tool)
@place_options
@text_option
@click.argument("group")
def find(configuration: Configuration, files: tuple[str, ...], text: bool, group: str) -> None:
    """Print the devices of GROUP (its name, uuid, or the beginning of one), missing ones too.

    \b
    Examples:
      dvm discover find vg
      dvm discover find vg --file disk1.img --file disk2.img --text
    """
    from drystone.dvm.discovery.finding import find as find_group

    print_devices(find_group(make_place(configuration, files), group), text=text)


@discover.command(cls=Tool)
@place_options
@click.option("--overwrite", is_flag=True, help="Also a device with somebody else's data: its marks are erased.")
@click.option("--dry-run", is_flag=True, help="Print what the group would be; write nothing.")
@click.argument("group")
@click.argument("words", nargs=-1, required=True, metavar="DEVICE... [REGION...]")
def add(
    configuration: Configuration,
    files: tuple[str, ...],
    overwrite: bool,
    dry_run: bool,
    group: str,
    words: tuple[str, ...],
) -> None:
    """Label DEVICEs as those of GROUP, and print the group. A group that is not there yet is made.

    REGION is where the group's metadata goes: BEGIN:END in pages of 4 KiB, END exclusive; 1:257 unless told otherwise.
    A device that is in use, labelled, or carries a file system, partitions or the like is refused.

    \b
    Examples:
      dvm discover add vg /dev/sdb /dev/sdc
      dvm discover add vg --file disk1.img disk1.img 1:65
    """
    from drystone.dvm.discovery.labelling import parse_region
    from drystone.dvm.discovery.membership import add_devices

    regions = [word for word in words if _REGION.fullmatch(word)]
    devices = [word for word in words if word not in regions]
    if not devices:
        raise UsageError("no device was named", hint="a path; one that looks like a region is written ./1:2")
    wanted = [parse_region(text) for text in regions or (configuration.discover.region,)]
    place = make_place(configuration, files)
    wait_s = configuration.common.wait_s
    print_document(add_devices(place, group, devices, wanted, overwrite=overwrite, dry_run=dry_run, wait_s=wait_s))


@discover.command(cls=Tool)
@place_options
@click.option("--force", is_flag=True, help="Also a device that holds metadata of the group.")
@click.option("--dry-run", is_flag=True, help="Print what the group would be; write nothing.")
@click.argument("group")
@click.argument("device")
def rm(
    configuration: Configuration, files: tuple[str, ...], force: bool, dry_run: bool, group: str, device: str
) -> None:
    """Take DEVICE out of GROUP: erase its label. Prints the group, or null when it was the last device.

    DEVICE is a path or a uuid; one that is missing is named by its uuid. What is on it besides the label stays.

    \b
    Example:
      dvm discover rm vg /dev/sdb
    """
    from drystone.dvm.discovery.membership import remove_device

    wait_s = configuration.common.wait_s
    place = make_place(configuration, files)
    print_document(remove_device(place, group, device, force=force, dry_run=dry_run, wait_s=wait_s))


@discover.command("list", cls=Tool)
@place_options
@text_option
def list_groups(configuration: Configuration, files: tuple[str, ...], text: bool) -> None:
    """Print all groups with their devices, and what could not be read.

    \b
    Examples:
      dvm discover list --text
      dvm discover list -c dvm.toml
    """
    from drystone.dvm.discovery.finding import list_all

    found = list_all(make_place(configuration, files))
    if not text:
        print_document(found)
        return
    rows = [
        (group.group.name, group.group.uuid, len(group.devices) - len(group.missing), len(group.missing))
        for group in found.groups
    ]
    print_table(("group", "uuid", "devices", "missing"), rows)
    for note in (*(note for group in found.groups for note in group.notes), *found.notes):
        click.echo(note.message)
