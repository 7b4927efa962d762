"""`drystone backup restore --instant`: a device that is usable at once, and is restored behind its users."""

from __future__ import annotations

import functools
import json
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from drystone.base.errors import DrystoneError, UsageError
from drystone.base.sizes import format_size
from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.opening import Access, warn
from drystone.cli.backup.progress import show_progress
from drystone.cli.output import print_json, tell
from drystone.cli.programs import device_mapper, run_program


@dataclass(frozen=True, slots=True)
class Instant:
    """The options of `instant_options`: the new device's name, and where the state is kept (None: the usual place)."""

    name: str
    state: Path | None


def instant_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options, handed to the command as the parameter `instant`; None without --instant."""

    @functools.wraps(function)
    def call(*arguments: object, instant: bool, name: str | None, state: Path | None, **others: object) -> None:
        if not instant and (name is not None or state is not None):
            raise UsageError("--name and --state are for --instant")
        if instant and name is None:
            raise UsageError("--instant makes a device, which wants a name", hint="--name NAME")
        function(*arguments, instant=None if name is None else Instant(name, state), **others)

    options = (
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="With --instant: where to keep what is restored already.  [default: /var/lib/drystone/instant]",
        ),
        click.option("--name", metavar="NAME", help="With --instant: of the new device, /dev/mapper/NAME."),
        click.option(
            "--instant", is_flag=True, help="Make the device --name, usable at once, and restore behind its users."
        ),
    )
    for option in options:
        call = option(call)
    return call


def restore_at_once(url: str, target: str, instant: Instant, *, larger: bool, access: Access, as_json: bool) -> None:
    """Serve until all is restored. Ctrl-C and SIGTERM end it so that it can be gone on with.

    :raises UsageError: the name is not valid. And as `restore_instantly`.
    """
    from drystone.base.names import check_name
    from drystone.dvm.signals import SIGNALLED, unwound_by_signals
    from drystone.kernel.memory import become_io_flusher
    from drystone.volumes.instant import FOLDER, Request, restore_instantly

    name = check_name(instant.name)
    request = Request(name, url, str(Path(target).absolute()), larger, instant.state or FOLDER)
    context = click.get_current_context()
    dm = device_mapper(context)
    become_io_flusher()
    over, told = threading.Event(), _Told()
    backups, parsed = find_backup(url, access)

    def begin(path: str) -> None:
        if as_json:
            tell(json.dumps({"usable": path}))
        else:
            click.echo(path)

    with (
        unwound_by_signals(),
        backups.image(parsed.volume, parsed.backup, cache=access.memory // 4) as image,
        show_progress("restore", as_json=as_json) as progress,
    ):
        came = _end_by_signals(over)
        whole = restore_instantly(
            dm,
            image,
            request,
            lambda program: run_program(dm, program),
            usable=begin,
            progress=progress,
            failed=told,
            stuck=lambda left: warn(_describe_rest(left, name, target)),
            over=over,
        )
    if as_json:
        print_json({"url": url, "target": target, "path": f"/dev/mapper/{name}", "whole": whole})
    if not whole:
        tell("drystone: not all is restored yet: the same command goes on")
        context.exit(SIGNALLED + (came or [signal.SIGINT])[0])


def _describe_rest(left: int, name: str, target: str) -> str:
    """What to do when all is restored but what is damaged."""
    return (
        f"nothing more comes: {format_size(left)} is left, which is damaged in the backup at the places that were "
        f"told. All else is on {target}, and /dev/mapper/{name} can be used. Repair the store (`drystone backup scrub "
        "--repair-from SOURCE`), end this with Ctrl-C, and give the same command again"
    )


class _Told:
    """Says what could not be read, each thing once: the kernel tries again without end."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, error: DrystoneError) -> None:
        if error.message not in self._said:
            self._said.add(error.message)
            tell(f"drystone: {error}")


def _end_by_signals(over: threading.Event) -> list[int]:
    """Have Ctrl-C, SIGTERM and SIGHUP set `over`, by a thread: a handler must not wait for the event's lock.

    :returns: the numbers of those that came, which grows.
    """
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        threading.Thread(target=over.set).start()

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, end)
    return came
