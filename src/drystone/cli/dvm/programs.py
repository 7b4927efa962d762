"""The tools that read device-mapper, compile programs and run them."""

from __future__ import annotations

from contextlib import nullcontext

import click

from drystone.cli.dvm.plain import states
from drystone.cli.dvm.tool import Tool, errors_as_json, pass_mapper
from drystone.kernel.dm.abc import DeviceMapper


@click.command(cls=Tool)
@errors_as_json
@click.option("--name", "names", multiple=True, metavar="PREFIX", help="Only devices whose name begins so.")
@click.option("--uuid", "uuids", multiple=True, metavar="PREFIX", help="Only devices whose UUID begins so.")
@pass_mapper
def observe(dm: DeviceMapper, names: tuple[str, ...], uuids: tuple[str, ...]) -> None:
    """Print the state of device-mapper: devices, tables, thin pools' transaction ids.

    Devices of the selection that tables refer to are written {name}, others major:minor. With both --name and --uuid a
    device needs one of the names or one of the UUIDs.

    \b
    Example:
      dvm observe --uuid DRYSTONE-
    """
    states.observe(names, uuids, lambda: nullcontext(dm))


@click.command(cls=Tool)
@errors_as_json
@click.argument("current", required=False)
@click.argument("desired", required=False)
@click.option("--text", is_flag=True, help="Print the program in its text form instead of JSON.")
@click.option("--describe", "in_words", is_flag=True, help="Print what the program does in plain language.")
def dmactivate(current: str | None, desired: str | None, text: bool, in_words: bool) -> None:
    """Print the program that leads from the state CURRENT to the state DESIRED.

    CURRENT and DESIRED are files, "-" is stdin. Without them stdin holds {"current": ..., "desired": ...}. Paths of
    block devices in tables become major:minor. Nothing is changed.

    \b
    Examples:
      dvm dmactivate now.json wanted.json --text
      dvm observe | dvm dmactivate - wanted.json
    """
    states.dmactivate(current, desired, text=text, in_words=in_words)


@click.command(cls=Tool)
@errors_as_json
@click.argument("file", default="-")
@click.option("--check", "only_check", is_flag=True, help="Check the program and print it; run nothing.")
@click.option("--text", is_flag=True, help="With --check: print the program in its text form.")
@click.option("--describe", "in_words", is_flag=True, help="With --check: print what it does in plain language.")
@pass_mapper
def dmexec(dm: DeviceMapper, file: str, only_check: bool, text: bool, in_words: bool) -> None:
    """Run a program (JSON or text form) from FILE or stdin; print its result.

    The program is checked whole before its first instruction. The result says whether it is done, unwound (it failed
    and the old state is back) or failed (with what is left); only the first is a success. Ctrl-C waits for the end.

    \b
    Examples:
      dvm dmexec --check prog.json
      dvm dmactivate now.json wanted.json | dvm dmexec
    """
    states.dmexec(file, only_check=only_check, text=text, in_words=in_words, mapper=lambda: nullcontext(dm))
