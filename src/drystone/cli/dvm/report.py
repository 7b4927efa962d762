"""`dvm report` and `dvm show`: what is in a group, for people, for programs, and with LVM2's keys."""

from __future__ import annotations

import click

from drystone.cli.dvm.metadata.document import group_options
from drystone.cli.dvm.plain.reports import look_by
from drystone.cli.dvm.plain.reports import report as report_group
from drystone.cli.dvm.plain.reports import show as show_group
from drystone.cli.dvm.tool import Tool, errors_as_json
from drystone.cli.output import Function
from drystone.cli.programs import device_mapper


def table_options(function: Function) -> Function:
    """Which tables, and how they are printed."""
    for option in (
        click.option("--lvm-json", is_flag=True, help="JSON with LVM2's keys and spelling."),
        click.option("--text", is_flag=True, help="Tables for people instead of JSON."),
        click.option("--parts", is_flag=True, help="With the parts that volumes are made of."),
        click.option("--live", "ask", is_flag=True, help="Ask device-mapper what is active, how full, how far."),
        click.argument("kinds", nargs=-1, metavar="[vgs|pvs|lvs|segments|live]..."),
    ):
        function = option(function)
    return function


@click.command(cls=Tool)
@group_options
@table_options
@click.option("--devices", "found", metavar="FILE", help="What dvm discover find prints: where devices are now.")
@click.option("--state", metavar="FILE", help="Instead of asking: what dvm report live printed.")
@click.pass_context
def report(
    ctx: click.Context,
    file: str,
    kinds: tuple[str, ...],
    found: str | None,
    ask: bool,
    state: str | None,
    parts: bool,
    text: bool,
    lvm_json: bool,
) -> None:
    """Report on a group: all four tables, or those named. `live` alone prints what device-mapper says of it.

    \b
    Examples:
      dvm discover find vg | dvm transact read vg | dvm report lvs --text
      dvm report lvs --live --lvm-json < vg.json
    """
    report_group(
        file,
        kinds,
        found,
        state,
        ask=ask,
        parts=parts,
        text=text,
        lvm_json=lvm_json,
        look=lambda parsed: look_by(device_mapper(ctx), parsed),
    )


@click.command(cls=Tool)
@errors_as_json
@click.option("--device", "paths", multiple=True, metavar="PATH", help="A device or file, instead of that.")
@click.option("--devices", "file", metavar="FILE", help="What `dvm discover find` printed; stdin otherwise.")
@click.argument("group")
@table_options
@click.pass_context
def show(
    ctx: click.Context,
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    kinds: tuple[str, ...],
    ask: bool,
    parts: bool,
    text: bool,
    lvm_json: bool,
) -> None:
    """Report on GROUP as its devices have it now: `dvm transact read GROUP | dvm report` in one process.

    \b
    Examples:
      dvm discover find vg | dvm show vg lvs --text
      dvm show vg lvs --live --text --device /dev/sdb --device /dev/sdc
    """
    show_group(
        group,
        kinds,
        file,
        paths,
        ask=ask,
        parts=parts,
        text=text,
        lvm_json=lvm_json,
        look=lambda parsed: look_by(device_mapper(ctx), parsed),
    )
