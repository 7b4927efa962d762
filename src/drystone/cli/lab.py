"""`drystone lab`: guests with a real kernel, on a machine that has none."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

from drystone.base.errors import NotFoundError, TimedOutError, UnavailableError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.output import json_option, print_json, print_table
from drystone.lab.command import Command
from drystone.lab.folders import running_labs, runtime_root
from drystone.lab.lab import Guest, Lab, find_lab
from drystone.lab.spec import check_counts

_PATIENCE = 3.0
"""Seconds that a command has to end after Ctrl-C or SIGTERM, before its guest ends."""


class _Stopped(BaseException):
    """A signal asked this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    def stop(number: int, _frame: FrameType | None) -> None:
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_to(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _feed_stdin(command: Command) -> None:
    """Pass our standard input on, in a thread: it ends with the process."""
    with contextlib.suppress(OSError):
        while data := os.read(0, 32 << 10):
            command.write(data)
    command.close_input()


def _pass_through(guest: Guest, argv: Sequence[str], *, stdin: bool) -> int:
    """Run a command in the guest as if it ran here; its exit code."""
    sys.stdout.flush()
    command = guest.start(argv, stdout=lambda data: _write_to(1, data), stderr=lambda data: _write_to(2, data))
    try:
        if stdin:
            threading.Thread(target=_feed_stdin, args=(command,), daemon=True).start()
        else:
            command.close_input()
        try:
            status = command.pump()
        except _Stopped as stopped:
            command.signal(stopped.number)
            with contextlib.suppress(TimedOutError):
                command.pump(_PATIENCE)
            raise
    finally:
        command.close()
    return status if status >= 0 else 128 - status


@click.group()
def lab() -> None:
    """Guests with a real kernel, on a machine that has none.

    A guest is a User-Mode Linux kernel, an ordinary process. It sees this machine's files, and what it writes stays in
    its own memory. It needs no root.

    \b
    Examples:
      drystone lab run -- dmsetup version
      drystone lab run --disk 1G --results out -- pytest tests/kernel
      drystone lab up --nodes 3 && drystone lab exec node1 -- ping -c 1 node2 && drystone lab down
    """


_WORDS = {"allow_interspersed_args": False}
"""What follows the command's first word is the command's."""
_name_option = click.option("--name", default="default", show_default=True, help="Which lab.")
_node_argument = click.argument("node")
_memory_option = click.option("--memory", default="512M", show_default=True, metavar="SIZE", help="Memory of a guest.")
_module_option = click.option(
    "--module", "modules", multiple=True, metavar="NAME", help="A kernel module to load at boot; may be repeated."
)
_results_option = click.option(
    "--results",
    type=click.Path(file_okay=False, exists=True, resolve_path=True),
    metavar="DIR",
    help="A folder that the guests may write to, at the same path.",
)
_stdin_option = click.option("--no-stdin", is_flag=True, help="Give the command an empty standard input.")


def _find_guest(name: str, node: str) -> Guest:
    guests = find_lab(name)[1]
    found = guests.get(node) or guests.get(f"node{node}")
    if found is None:
        raise NotFoundError(f"the lab {name!r} has no node {node!r}", hint=f"it has {', '.join(guests)}")
    return found


@lab.command(context_settings=_WORDS)
@_memory_option
@click.option("--disk", "disks", multiple=True, metavar="SIZE", help="A disk, /dev/lab/disk0 and on; may be repeated.")
@_results_option
@_module_option
@_stdin_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    memory: str,
    disks: tuple[str, ...],
    results: str | None,
    modules: tuple[str, ...],
    no_stdin: bool,
    command: tuple[str, ...],
) -> int:
    """Boot a guest, run COMMAND in it, and leave nothing behind.

    The command has this interpreter, this source, this working directory and this environment; its output, exit code
    and standard input are passed through. Ctrl-C ends it.

    \b
    Examples:
      drystone lab run -- python -c 'import os; print(os.uname())'
      drystone lab run --memory 1G --disk 2G -- mkfs.ext4 /dev/lab/disk0
    """
    place = Lab(
        memory=parse_size(memory),
        disks=[parse_size(each) for each in disks],
        folders=[results] if results else [],
        modules=modules,
    )
    try:
        with _signals_as_exceptions(), place:
            return _pass_through(place.guests[0], command, stdin=not no_stdin)
    except _Stopped as stopped:
        return 128 + stopped.number


@lab.command()
@_name_option
@click.option("--nodes", default=3, show_default=True, metavar="N", help="How many guests: node1, node2 and on.")
@_memory_option
@click.option("--disks", default=0, show_default=True, metavar="N", help="Disks of every node, /dev/lab/disk0 and on.")
@click.option("--disk-size", default="1G", show_default=True, metavar="SIZE", help="Size of each disk.")
@_results_option
@_module_option
@json_option
def up(
    name: str,
    nodes: int,
    memory: str,
    disks: int,
    disk_size: str,
    results: str | None,
    modules: tuple[str, ...],
    as_json: bool,
) -> None:
    """Boot a lab of several guests on a network of their own, and leave it running until `lab down`.

    \b
    Example:
      drystone lab up --nodes 3 --disks 2 --disk-size 1G
    """
    check_counts(nodes, disks, parse_size(memory))
    place = Lab(
        nodes,
        memory=parse_size(memory),
        disks=[parse_size(disk_size)] * disks,
        folders=[results] if results else [],
        modules=modules,
        name=name,
        owned=False,
    )
    try:
        with _signals_as_exceptions():
            place.start()
    except _Stopped as stopped:
        raise click.Abort from stopped
    _print_status([place.control.ask("status")], as_json=as_json)


@lab.command()
@json_option
def status(as_json: bool) -> None:
    """Show the labs that are up, and their nodes."""
    labs = []
    for name in running_labs(runtime_root()):
        with contextlib.suppress(UnavailableError):  # it ended meanwhile
            labs.append(find_lab(name)[0].ask("status"))
    _print_status(labs, as_json=as_json)


def _print_status(labs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(labs)
        return
    rows = [
        (
            each["lab"],
            node["node"],
            node["state"],
            node["address"],
            node["link"],
            format_size(node["memory"]),
            len(node["disks"]),
        )
        for each in labs
        for node in each["nodes"]
    ]
    print_table(("lab", "node", "state", "address", "link", "memory", "disks"), rows)


@lab.command(name="exec", context_settings=_WORDS)
@_name_option
@_stdin_option
@_node_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...], no_stdin: bool) -> int:
    """Run COMMAND on a node of a lab that is up; output, exit code and standard input are passed through.

    \b
    Example:
      drystone lab exec node1 -- ping -c 1 node2
    """
    guest = _find_guest(name, node)
    words = command[1:] if command[0] == "--" else command
    try:
        with _signals_as_exceptions():
            return _pass_through(guest, words, stdin=not no_stdin)
    except _Stopped as stopped:
        return 128 + stopped.number


@lab.command()
@_name_option
@_node_argument
def kill(name: str, node: str) -> None:
    """Cut a node's power: its disks lose what was not flushed."""
    _find_guest(name, node).kill()


@lab.command()
@_name_option
@_node_argument
def start(name: str, node: str) -> None:
    """Boot a node again, with its disks as they are on stable storage."""
    _find_guest(name, node).boot()


@lab.command()
@_name_option
@click.option("--way", type=click.Choice(["both", "sending", "receiving"]), default="both", show_default=True)
@_node_argument
def cut(name: str, node: str, way: str) -> None:
    """Cut a node's link: both ways, or only what it sends or receives."""
    _find_guest(name, node).cut(way)


@lab.command()
@_name_option
@_node_argument
def heal(name: str, node: str) -> None:
    """Mend a node's link."""
    _find_guest(name, node).heal()


@lab.command()
@_name_option
@_node_argument
def console(name: str, node: str) -> None:
    """Print the last lines of a node's console."""
    for line in _find_guest(name, node).console():
        click.echo(line)


@lab.command()
@_name_option
def down(name: str) -> None:
    """End a lab and leave nothing behind."""
    find_lab(name)[0].ask("down")
