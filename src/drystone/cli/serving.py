"""How commands run servers of ours: to their end, with a log, and with a word to the service manager."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from drystone.base.errors import UnsupportedError
from drystone.cli.output import print_line

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, on uvloop where that is installed.

    :raises UnsupportedError: a library is not installed.
    """
    try:
        import aiohttp  # noqa: F401  # what no server and no client of one can do without
    except ImportError as error:
        work.close()
        raise UnsupportedError(f"{error.name} is not installed", hint="pip install drystone") from error
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

    :raises UnsupportedError: a library is not installed.
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
