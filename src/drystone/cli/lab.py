"""`drystone lab`: guests with a real kernel, on a machine that has none."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

from drystone.base.errors import NotFoundError, TimedOutError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.output import json_option, print_json, print_table
from drystone.lab.command import Command
from drystone.lab.lab import Guest, Lab, describe_labs, find_lab
from drystone.lab.spec import DEFAULT_NAME

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


@contextlib.contextmanager
def _raw_terminal(command: Command) -> Iterator[None]:
    """Every key goes to the command's terminal, Ctrl-C too; its size follows that of ours."""

    def resize(_number: int, _frame: FrameType | None) -> None:
        size = os.get_terminal_size(0)
        # A thread of its own: the main one may have been interrupted in the middle of sending something.
        threading.Thread(target=command.resize, args=(size.lines, size.columns), daemon=True).start()

    before, handler = termios.tcgetattr(0), signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(0, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)


def _pass_through(guest: Guest, argv: Sequence[str], *, stdin: bool) -> int:
    """Run a command in the guest as if it ran here, on a terminal if we are on one; its exit code."""
    sys.stdout.flush()
    terminal = None
    if stdin and os.isatty(0) and os.isatty(1):
        size = os.get_terminal_size(0)
        terminal = (size.lines, size.columns)
    command = guest.start(
        argv, stdout=lambda data: _write_to(1, data), stderr=lambda data: _write_to(2, data), terminal=terminal
    )
    try:
        with _raw_terminal(command) if terminal else contextlib.nullcontext():
            if stdin:
                threading.Thread(target=_feed_stdin, args=(command,), daemon=True).start()
            else:
                command.close_input()
            status = _pump(command)
    finally:
        command.close()
    return status if status >= 0 else 128 - status


def _pump(command: Command) -> int:
    """Until the command's end; its status. A signal that asks us to end is passed on first."""
    try:
        return command.pump()
    except _Stopped as stopped:
        command.signal(stopped.number)
        with contextlib.suppress(TimedOutError):
            command.pump(_PATIENCE)
        raise


@click.group()
def lab() -> None:
    """Guests with a real kernel, on a machine that has none.

    A guest is a User-Mode Linux kernel, an ordinary process. It sees this machine's files, and what it writes stays in
    its own memory. It needs no root. SIZE is in bytes, or with k, m, g or t (powers of 1024).

    \b
    Examples:
      drystone lab run -- dmsetup version
      drystone lab run --disk 1G --results out -- sh -c 'mkfs.ext4 /dev/lab/disk0 > out/log'
      drystone lab run -- bash
      drystone lab up --nodes 3 && drystone lab exec node1 -- busybox ping -c 1 node2; drystone lab down
    """


_WORDS = {"allow_interspersed_args": False}
"""What follows the command's first word is the command's."""
_name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="Which lab.")
_node_argument = click.argument("node")
_memory_option = click.option(
    "--memory", default="512M", show_default=True, metavar="SIZE", help="Memory of a guest; 96M or more."
)
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
    (128 + n after signal n, 127 for no such command) and standard input are passed through. On a terminal it gets a
    terminal, and all keys; elsewhere Ctrl-C ends it. The guest ends with the command, and daemons it started with it.

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
    """Show the labs that are up, and their nodes: state (down, booting, up, failed), address, link, memory, disks.

    \b
    Example:
      drystone lab status --json
    """
    _print_status(describe_labs(), as_json=as_json)


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
      drystone lab exec node1 -- busybox ping -c 1 node2
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
@json_option
@_node_argument
def kill(name: str, node: str, as_json: bool) -> None:
    """Cut a node's power: its disks lose what was not flushed. A node that is down stays so.

    \b
    Example:
      drystone lab kill node2 && drystone lab start node2
    """
    _find_guest(name, node).kill()
    if as_json:
        print_json({"killed": node})


@lab.command()
@_name_option
@json_option
@_node_argument
def start(name: str, node: str, as_json: bool) -> None:
    """Boot a node again, with its disks as they are on stable storage, and wait until it is up.

    \b
    Example:
      drystone lab start node2
    """
    _find_guest(name, node).boot()
    if as_json:
        print_json({"started": node})


@lab.command()
@_name_option
@click.option(
    "--way",
    type=click.Choice(["both", "sending", "receiving"]),
    default="both",
    show_default=True,
    help="What is dropped.",
)
@json_option
@_node_argument
def cut(name: str, node: str, way: str, as_json: bool) -> None:
    """Cut a node's link: both ways, or only what it sends or receives. It stays cut until `lab heal`.

    \b
    Example:
      drystone lab cut --way sending node2
    """
    _find_guest(name, node).cut(way)
    if as_json:
        print_json({"cut": node, "way": way})


@lab.command()
@_name_option
@json_option
@_node_argument
def heal(name: str, node: str, as_json: bool) -> None:
    """Mend a node's link.

    \b
    Example:
      drystone lab heal node2
    """
    _find_guest(name, node).heal()
    if as_json:
        print_json({"healed": node})


@lab.command()
@_name_option
@json_option
@_node_argument
def console(name: str, node: str, as_json: bool) -> None:
    """Print the last lines of a node's console: what its kernel has said.

    \b
    Example:
      drystone lab console node2
    """
    lines = _find_guest(name, node).console()
    if as_json:
        print_json(lines)
        return
    for line in lines:
        click.echo(line)


@lab.command()
@_name_option
@json_option
def down(name: str, as_json: bool) -> None:
    """End a lab and leave nothing behind.

    \b
    Example:
      drystone lab down
    """
    find_lab(name)[0].ask("down")
    if as_json:
        print_json({"down": name})
