"""Options that the fleet's commands share, and how its servers log and run."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from drystone.base.errors import UnsupportedError
from drystone.cli.output import Function, print_line

if TYPE_CHECKING:
    from drystone.fleet.calls import Mappers

Result = TypeVar("Result")

_CREDENTIALS = Path("/etc/drystone/fleet.secret")


def fleet_options(function: Function) -> Function:
    """The options `--mapper` and `--secret`, as the parameters `mappers` and `secret`."""
    function = click.option(
        "--secret",
        type=click.Path(path_type=Path),
        default=_CREDENTIALS,
        show_default=True,
        envvar="DRYSTONE_FLEET_SECRET",
        show_envvar=True,
        help="File with the fleet's secret.",
    )(function)
    return click.option(
        "--mapper",
        "mappers",
        multiple=True,
        default=("http://127.0.0.1:8079",),
        show_default=True,
        envvar="DRYSTONE_MAPPER",
        show_envvar=True,
        help="URL of a mapper; may be given several times.",
    )(function)


def ask_mapper(
    mappers: tuple[str, ...], secret: Path, action: Callable[[Mappers], Coroutine[Any, Any, Result]]
) -> Result:
    """What `action` returns, given the fleet's mappers."""

    async def act() -> Result:
        from drystone.fleet.calls import Calls, Mappers, read_secret

        async with Calls(read_secret(secret)) as calls:
            return await action(Mappers(calls, tuple(each.rstrip("/") for each in mappers)))

    return run(act())


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, on uvloop where that is installed.

    :raises UnsupportedError: the fleet's libraries are not installed.
    """
    try:
        import aiohttp  # noqa: F401  # what the fleet cannot do without
    except ImportError as error:
        work.close()
        raise UnsupportedError(f"the fleet needs {error.name}", hint="pip install 'drystone[fleet]'") from error
    if os.environ.get(ATTACHED):
        _end_with_stdin()
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def serve(work: Coroutine[Any, Any, None]) -> None:
    """Run a server to its end, and have the service manager know that it lives.

    :raises UnsupportedError: the fleet's libraries are not installed.
    """
    from drystone.wire.notify import keep_alive

    async def watched() -> None:
        alive = asyncio.create_task(keep_alive())
        try:
            await work
        finally:
            alive.cancel()

    try:
        run(watched())
    finally:
        work.close()  # where it was not begun


def announce(line: str) -> None:
    """Say that a server is ready: a line on stdout, and to the service manager."""
    from drystone.wire.notify import notify

    print_line(line)
    notify("READY=1")


ATTACHED = "DRYSTONE_FLEET_ATTACHED"
"""The variable of the environment that has a server end when its stdin does: with the process that started it."""


def _end_with_stdin() -> None:
    """Have SIGTERM sent to us once nobody holds the other end of our stdin any more."""

    def wait() -> None:
        while os.read(0, 1 << 16):  # not sys.stdin: its lock must be free when the interpreter ends
            continue
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


def start_log(*, debug: bool) -> None:
    """Log to stderr, a line a change."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("asyncio").setLevel(logging.INFO)
