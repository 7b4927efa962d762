"""Listening unix sockets: permissions from the first moment, stale files cleared, living daemons left alone."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from drystone.base.errors import BusyError, UsageError

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
