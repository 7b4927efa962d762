"""`dvm report`: what is in a group, for people, for programs, and with LVM2's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.base.sizes import format_size
from drystone.cli.dvm.metadata.document import group_options, read_group
from drystone.cli.dvm.tool import Tool, print_document
from drystone.cli.input import name_input, read_input
from drystone.cli.output import print_table
from drystone.cli.programs import device_mapper

if TYPE_CHECKING:
    from drystone.dvm.groups.group import Group
    from drystone.dvm.reports.live import Live
    from drystone.dvm.reports.rows import Report

KINDS = ("vgs", "pvs", "lvs", "segments")
_COLUMNS = {
    "vgs": ("name", "devices", "missing", "volumes", "size", "free"),
    "pvs": ("path", "group", "size", "free", "allocatable", "missing", "tags"),
    "lvs": ("name", "group", "kind", "size", "pool", "origin", "devices", "missing", "moving", "tags"),
    "segments": ("volume", "kind", "start", "size", "legs", "on", "to"),
}
_LIVE = ("active", "open", "data_percent", "metadata_percent", "copy_percent", "health")
_SIZES = frozenset({"size", "free", "start"})


@click.command(cls=Tool)
@group_options
@click.argument("kinds", nargs=-1, metavar="[vgs|pvs|lvs|segments|live]...")
@click.option("--devices", "found", metavar="FILE", help="What dvm discover find prints: where devices are now.")
@click.option("--live", "ask", is_flag=True, help="Ask device-mapper what is active, how full, how far.")
@click.option("--state", metavar="FILE", help="Instead of asking: what dvm report live printed.")
@click.option("--parts", is_flag=True, help="With the parts that volumes are made of.")
@click.option("--text", is_flag=True, help="Tables for people instead of JSON.")
@click.option("--lvm-json", is_flag=True, help="JSON with LVM2's keys and spelling.")
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
    if unknown := [each for each in kinds if each not in (*KINDS, "live")]:
        raise UsageError(f"there is no report {unknown[0]!r}", hint=f"one of {', '.join(KINDS)}, live")
    if (ask and state is not None) or (text and lvm_json) or ("live" in kinds and len(kinds) > 1):
        raise UsageError("--live excludes --state, --text --lvm-json, and the report live all others")
    group = read_group(file)
    live = _look(ctx, group, state=state, ask=ask or kinds == ("live",))
    if kinds == ("live",):
        print_document(live)
        return
    from drystone.dvm.reports.report import Subject
    from drystone.dvm.reports.report import report as make

    result = make(Subject(group, _paths(group, found), live, parts), kinds or KINDS)
    if lvm_json:
        from drystone.dvm.reports.lvm_report import lvm_report

        print_document(lvm_report(result))
    elif text:
        _print_tables(result, with_live=live is not None)
    else:
        print_document(result)


def _paths(group: Group, file: str | None) -> dict[str, str]:
    """Device uuid -> path: as was found, or, without that, as the group's hints say."""
    if file is None:
        return {device.uuid: device.path for device in group.devices if device.path}
    from drystone.dvm.discovery.devices import parse_devices

    return {device.uuid: device.path for device in parse_devices(read_input(file), name_input(file)).present}


def _look(ctx: click.Context, group: Group, *, state: str | None, ask: bool) -> Live | None:
    if state is None and not ask:
        return None
    from drystone.dvm.reports.live import observe, parse_live

    if state is not None:
        return parse_live(read_input(state), name_input(state))
    return observe(device_mapper(ctx), group)


def _print_tables(result: Report, *, with_live: bool) -> None:
    at = 0
    for kind in KINDS:
        rows = getattr(result, kind)
        if rows is None:
            continue
        columns = _COLUMNS[kind]
        live = _LIVE if kind == "lvs" and with_live else ()
        cells = [
            [
                *(_cell(name, getattr(row, name)) for name in columns),
                *(_cell(name, getattr(row.live, name)) for name in live),
            ]
            for row in rows
        ]
        if at:
            click.echo()
        print_table([name.replace("_percent", "%") for name in (*columns, *live)], cells)
        at += 1


def _cell(name: str, value: object) -> str:
    if value is None or value is False or value == ():
        return ""
    if value is True:
        return "yes"
    if name in _SIZES and isinstance(value, int):
        return format_size(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
