"""What the tools that change a group's metadata and device-mapper together do that with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from drystone.cli.dvm.configuration import config_option
from drystone.cli.dvm.plain.groups import make_nodes, runner
from drystone.cli.dvm.tool import errors_as_json
from drystone.cli.input import name_input, read_input
from drystone.cli.output import Function
from drystone.cli.programs import device_mapper

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration
    from drystone.dvm.discovery.devices import Devices
    from drystone.dvm.discovery.scan import Place
    from drystone.dvm.transactions.live_group import Host, LiveGroup


def device_options(function: Function) -> Function:
    """Where the devices of groups are looked for: as `dvm discover find` does, or as it found them before."""
    for option in (
        click.option("--devices", "file", metavar="FILE", help="What dvm discover find printed, instead of looking."),
        errors_as_json,
        config_option,
    ):
        function = option(function)
    return function


def make_host(ctx: click.Context, configuration: Configuration) -> Host:
    """This machine."""
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.live_group import Host

    dm = device_mapper(ctx)
    return Host(dm, runner(dm), SystemClock().now, lambda: make_nodes(dm), wait_s=configuration.common.wait_s)


def make_live_group(ctx: click.Context, configuration: Configuration, group: str, file: str | None) -> LiveGroup:
    """A group of this machine."""
    from drystone.dvm.transactions.live_group import LiveGroup

    return LiveGroup(make_host(ctx, configuration), finder(configuration, group, file))


def finder(configuration: Configuration, group: str, file: str | None) -> Callable[[], Devices]:
    """What finds the devices of a group: in `file`, or by looking for labels, anew at each call."""
    if file is not None:
        from drystone.dvm.discovery.devices import parse_devices, require_group

        found = parse_devices(read_input(file), f"devices ({name_input(file)})")
        require_group(found, group)
        return lambda: found
    from drystone.dvm.discovery.finding import find

    place = make_place(configuration)
    return lambda: find(place, group)


def make_place(configuration: Configuration, files: Sequence[str] = ()) -> Place:
    """Where labels are looked for."""
    from drystone.dvm.configuration import to_filters
    from drystone.dvm.discovery.scan import Place

    section = configuration.discover
    filters = to_filters(section, "configuration")
    return Place((*section.files, *files), filters, section.own_volumes, section.devices)
