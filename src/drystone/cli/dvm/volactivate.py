"""`dvm volactivate`: from a group document to the state that device-mapper should be in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.metadata.document import group_options
from drystone.cli.dvm.plain.mutators import read_group
from drystone.cli.dvm.plain.states import tell_missing
from drystone.cli.dvm.tool import Tool, print_document
from drystone.cli.input import name_input, read_input

if TYPE_CHECKING:
    from drystone.dvm.discovery.devices import Devices
    from drystone.dvm.groups.group import Group


@click.command(cls=Tool)
@group_options
@click.option("--devices", "found", metavar="FILE", help="What dvm discover find prints; the group's hints without.")
@click.option("--only", multiple=True, metavar="VOLUME", help="Only it and what it needs; repeatable.")
@click.option("--pools", type=click.IntRange(0), help="Of the thin pools with messages, only so many; all without.")
@click.option(
    "--partial", is_flag=True, help="Leave out what cannot be whole; let raid sets go on that have lost legs."
)
@click.option("--blanks", is_flag=True, help="Print the program that zeroes what is new instead of the state.")
@click.option("--before", metavar="FILE", help="With --blanks: the group as it was; all is new without.")
def volactivate(
    file: str,
    found: str | None,
    only: tuple[str, ...],
    pools: int | None,
    partial: bool,
    blanks: bool,
    before: str | None,
) -> None:
    """Print the state of device-mapper in which the group's volumes are active; dvm dmactivate leads there.

    When devices are missing, nothing is printed; with --partial, the volumes that can be whole without them are, and a
    line on stderr names the others. Nothing is ever put in the place of what is missing.

    New volumes and new records of the kernel (of raid legs, pools, caches, snapshots) must begin with zeros: --blanks
    prints the program that writes them, to be run before.

    After a restart one program wakes one thin pool with messages: a group with several is activated by --pools 1,
    --pools 2, and so on, each with dvm dmactivate and dvm dmexec.

    \b
    Examples:
      dvm volactivate < vg.json > wanted.json
      dvm volactivate --blanks --before old.json < new.json | dvm dmexec
    """
    from drystone.dvm import volactivate as maker

    if before is not None and not blanks:
        raise UsageError("--before goes with --blanks")
    group = read_group(file)
    paths = maker.paths_of(group, None if found is None else _read_devices(found, group))
    if blanks:
        old = None if before is None else read_group(before)
        print_document(maker.blanking(maker.blanks(old, group, paths)))
        return
    activation = maker.activate(group, paths, only=only or None, pools=pools)
    tell_missing(activation, partial=partial)
    print_document(activation.state)


def _read_devices(file: str, group: Group) -> Devices:
    from drystone.dvm.discovery.devices import parse_devices, require_group

    devices = parse_devices(read_input(file), name_input(file))
    require_group(devices, group.uuid)
    return devices
