"""The tools that read device-mapper, compile programs and run them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from drystone.base.documents import decode
from drystone.base.errors import UsageError
from drystone.cli.dvm.tool import Tool, errors_as_json, pass_mapper, print_document
from drystone.cli.input import name_input, read_input
from drystone.kernel.dm.abc import DeviceMapper

if TYPE_CHECKING:
    from drystone.dvm.program import Program
    from drystone.dvm.result import Result
    from drystone.dvm.signals import HeldSignals


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
    from drystone.dvm import state

    if names or uuids:
        found = state.observe(dm, lambda entry: entry.name.startswith(names) or entry.uuid.startswith(uuids))
    else:
        found = state.observe(dm)
    print_document(found)


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
    from drystone.dvm import dmactivate as compiler
    from drystone.dvm.blocks import KernelBlocks
    from drystone.dvm.describe import describe
    from drystone.dvm.state import State, parse_state, resolve_paths
    from drystone.dvm.text import render_text

    if current is None:
        both = decode(read_input("-"), dict[str, State], "stdin")
        if set(both) != {"current", "desired"}:
            raise UsageError('stdin: an object with "current" and "desired" was expected')
        states = both["current"], both["desired"]
    elif desired is None:
        raise UsageError("DESIRED is missing", hint="name two documents, or none for stdin")
    else:
        if current == desired == "-":
            raise UsageError("stdin cannot hold both documents", hint='without arguments: {"current":, "desired":}')
        states = (
            parse_state(read_input(current), f"current state ({name_input(current)})"),
            parse_state(read_input(desired), f"desired state ({name_input(desired)})"),
        )
    number = KernelBlocks().number
    program = compiler.activate(resolve_paths(states[0], number), resolve_paths(states[1], number))
    if in_words:
        click.echo("\n".join(describe(program)))
    elif text:
        click.echo(render_text(program), nl=False)
    else:
        print_document(program)


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
    from drystone.dvm.check import check
    from drystone.dvm.describe import describe
    from drystone.dvm.text import render_text

    if (text or in_words) and not only_check:
        raise UsageError("--text and --describe go with --check")
    program = _parse(read_input(file), name_input(file))
    if only_check:
        check(program)
        if in_words:
            click.echo("\n".join(describe(program)))
        elif text:
            click.echo(render_text(program), nl=False)
        else:
            print_document(program)
        return
    from drystone.dvm.signals import HeldSignals

    signals = HeldSignals()
    with signals.held():
        # Ctrl-C is answered after the result is printed: what was done is never left untold.
        result = _execute(program, dm, signals)
        print_document(result)
        sys.stdout.flush()
        _make_nodes(dm)
    result.require_done()


def _execute(program: Program, dm: DeviceMapper, signals: HeldSignals) -> Result:
    """Run it. Only the kernel's device-mapper holds back this machine's disks."""
    from contextlib import nullcontext

    from drystone.dvm.dmexec import execute
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper

    if isinstance(dm, KernelDeviceMapper):
        return execute(program, dm, signals=signals)
    return execute(program, dm, memory=nullcontext, signals=signals)


def _make_nodes(dm: DeviceMapper) -> None:
    """Have the nodes in /dev that udev makes where it runs. Only the kernel's device-mapper has any."""
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper
    from drystone.kernel.dm.nodes import sync_nodes, udev_runs

    if isinstance(dm, KernelDeviceMapper) and not udev_runs():
        sync_nodes((entry.name, entry.number) for entry in dm.list_devices())


def _parse(data: bytes, what: str) -> Program:
    from drystone.dvm.program import parse_program
    from drystone.dvm.text import parse_text

    if data.lstrip()[:1] == b"{":
        return parse_program(data, what)
    try:
        return parse_text(data.decode(), what)
    except UnicodeDecodeError as error:
        raise UsageError(f"{what}: neither JSON nor text: {error}") from error
