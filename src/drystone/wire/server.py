"""One process that serves an application on a unix socket until it is told to end.

By uvicorn inside the process: whoever owns a thin pool must be one process, and signals are handled in one place,
here. SIGTERM and SIGINT: no new connection is taken, requests in flight are finished, the socket's file is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from drystone.base.errors import BusyError, UsageError
from drystone.wire.gate import Application

_PATH_LIMIT = 107
"""Bytes of a unix socket's path (Linux sockaddr_un, less the final zero)."""


def bind_unix(path: Path, *, mode: int = 0o600) -> socket.socket:
    """A listening unix socket at `path` with permissions `mode` from its first moment on.

    A file that a dead daemon left is removed; one that a living daemon answers on is not touched. Missing folders
    are made (0755).

    :raises BusyError: a daemon answers there. :raises UsageError: the path is too long, or is no socket.
    """
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise UsageError(f"the socket's path {path} is longer than {_PATH_LIMIT} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(path)
    handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = os.umask(0o777 & ~mode)
        try:
            handle.bind(str(path))
        finally:
            os.umask(mask)
        handle.listen(128)
    except OSError as error:
        handle.close()
        if error.errno == errno.EADDRINUSE:
            raise BusyError(f"another daemon is starting on {path}") from error
        raise
    return handle


def _clear_stale(path: Path) -> None:
    """Remove the socket file of a daemon that is gone."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise UsageError(f"{path} exists and is no socket", hint="name another path with --socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(2.0)
        probe.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)
    except TimeoutError as error:
        raise BusyError(f"a daemon holds {path} and does not answer") from error
    else:
        raise BusyError(f"another daemon answers on {path}", hint="stop it, or name another path with --socket")
    finally:
        probe.close()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: `serve_unix` has them. `ready` is called once it listens."""

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

    :param handle: from `bind_unix`; closed here.
    :param ready: called once connections are answered.
    """
    own = path.stat().st_ino
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        http="h11",
        server_header=False,
        timeout_keep_alive=5,
    )
    try:
        asyncio.run(_serve(_Server(config, ready), handle))
    finally:
        handle.close()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == own:
                path.unlink()


async def _serve(server: _Server, handle: socket.socket) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await server.serve(sockets=[handle])
