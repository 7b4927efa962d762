"""Work that takes long: its progress, and what the daemon is at."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import click

from drystone.base.errors import DrystoneError
from drystone.base.sizes import format_size
from drystone.cli.convoy import goes_on
from drystone.cli.output import interactive, json_option, print_json, print_table
from drystone.cli.volume.asking import call, socket_option
from drystone.wire.client import Answer

_POLL_SECONDS = 0.2


def call_with_progress(socket: str, method: str, route: str, body: Mapping[str, object], what: str) -> Answer:
    """A request that takes long; on a terminal its progress is drawn on stderr, as the daemon reports it."""
    with goes_on():
        if not interactive():
            return call(socket, method, route, body)
        return _draw_progress(socket, method, route, body, what)


def _draw_progress(socket: str, method: str, route: str, body: Mapping[str, object], what: str) -> Answer:
    """`call_with_progress` on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    outcome: list[Answer | BaseException] = []

    def ask() -> None:
        try:
            outcome.append(call(socket, method, route, body))
        except (DrystoneError, OSError) as error:
            outcome.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        asking.start()
        while asking.is_alive():
            asking.join(_POLL_SECONDS)
            for item in _look_at_work(socket):
                if item.get("action") == what and item.get("total"):
                    progress.update(task, completed=item["done"], total=item["total"])
    answer = outcome[0]
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _list_work(socket: str) -> list[dict[str, Any]]:
    """What the daemon is at."""
    document = call(socket, "GET", "/work").document()
    return document if isinstance(document, list) else []


def _look_at_work(socket: str) -> list[dict[str, Any]]:
    """What the daemon is at; nothing when it cannot say: the main request reports that."""
    try:
        return _list_work(socket)
    except DrystoneError:
        return []


@click.command()
@json_option
@socket_option
def work(as_json: bool, socket: str) -> None:
    """Show the backups and restores under way, and how far they are.

    \b
    Example:
      drystone volume work
    """
    found = _list_work(socket)
    if as_json:
        print_json(found)
        return
    rows = [(each["action"], each["subject"], _spell_part(each["done"], each["total"])) for each in found]
    print_table(("action", "subject", "done"), rows)


def _spell_part(done: int, total: int) -> str:
    return f"{format_size(done)} of {format_size(total)}" if total else "-"
