"""An API server as a process: the application on a TCP address until it is told to end.

Requests under way are answered before it ends. One that is killed has answered nothing that is not in the database, and
another goes on: servers keep no state.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drystone.base.errors import BusyError, UnavailableError
from drystone.cluster.api.desk import Desk
from drystone.cluster.api.routes import make_api
from drystone.cluster.api.tokens import load_tokens
from drystone.cluster.queue.broker import KombuLink
from drystone.cluster.queue.hint import hints_of
from drystone.cluster.queue.publishing import Publisher
from drystone.cluster.state.database import Database
from drystone.wire.server import serve
from drystone.wire.tcp import TlsFiles, parse_address

_IDLE_SECONDS = 30
"""That a connection is kept without a request."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What a server is told once. :ivar listen: HOST:PORT. :ivar database: a URL. :ivar tokens: the file of tokens.

    :ivar queue: URL of a broker that monitors hear hints of, "" when they look into the database.
    """

    listen: str
    database: str
    tokens: Path
    tls: TlsFiles | None = None
    queue: str = ""


async def run_api(settings: ApiSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    :param ready: called with the URL once requests are answered.
    :raises DrystoneError: the database, the address or a file cannot be used.
    """
    tokens = load_tokens(settings.tokens)
    if settings.tls is not None:
        settings.tls.context()  # says what is wrong with the files
    queue = Publisher(partial(KombuLink, settings.queue, listens=False)) if settings.queue else None
    database = Database(settings.database, told=None if queue is None else lambda events: queue.give(hints_of(events)))
    await asyncio.to_thread(database.open)
    desk = Desk(database, None if queue is None else queue.counts)
    try:
        with queue or contextlib.nullcontext(), listen_on(settings.listen) as handle:
            host, port = handle.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            url = f"{'https' if settings.tls else 'http'}://{shown}:{port}"
            await serve(
                make_api(desk, tokens), handle, lambda: ready(url), idle_seconds=_IDLE_SECONDS, tls=settings.tls
            )
    finally:
        desk.close()
        database.close()


@contextlib.contextmanager
def listen_on(text: str) -> Iterator[socket.socket]:
    """A listening socket. :raises UsageError: no HOST:PORT. :raises BusyError, UnavailableError: it cannot be had."""
    host, port = parse_address(text)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, as asyncio turns Nagle's algorithm off only for sockets that say they are TCP's.
    handle = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind((host, port))
        handle.listen(1024)
    except OSError as error:
        handle.close()
        if error.errno == errno.EADDRINUSE:
            raise BusyError(f"another process listens on {text}", hint="name another port") from error
        raise UnavailableError(f"cannot listen on {text}: {error.strerror or error}") from error
    with handle:
        yield handle
