"""One process that serves an application by uvicorn until it is told to end.

Inside the process: whoever owns a thin pool must be one process, and signals are handled in one place, here. SIGTERM
and SIGINT: no new connection is taken, requests in flight are finished. A second signal ends the process at once, as
SIGKILL would.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from drystone.wire.gate import Application
from drystone.wire.peers import PeerProtocol

if TYPE_CHECKING:
    from drystone.wire.tcp import TlsFiles

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: `serve` has them. `ready` is called once it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve_unix(application: Application, handle: socket.socket, path: Path, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in flight finish and remove the socket's file.

    :param handle: from `sockets.bind_unix`; closed here.
    :param ready: called once connections are answered.
    """
    own = path.stat().st_ino
    try:
        asyncio.run(serve(application, handle, ready, idle_seconds=5))
    finally:
        handle.close()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == own:
                path.unlink()


async def serve(
    application: Application,
    handle: socket.socket,
    ready: Callable[[], None],
    *,
    idle_seconds: int,
    tls: TlsFiles | None = None,
) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT, then let requests in flight finish.

    :param ready: called once connections are answered. :param idle_seconds: that a connection is kept without one.
    """
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        http=PeerProtocol,
        server_header=False,
        timeout_keep_alive=idle_seconds,
        ssl_certfile=None if tls is None else str(tls.certificate),
        ssl_keyfile=None if tls is None else str(tls.key),
    )
    server = _Server(config, ready)
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True
        log.info("ending once the requests under way are done; a second signal ends it now")
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    await server.serve(sockets=[handle])
