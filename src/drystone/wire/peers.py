"""The process at the other end of a unix socket, told with each of its requests.

uvicorn knows nothing of it, so its protocol is given one more step: SO_PEERCRED of the connection, which the kernel
filled when it was made, goes into the state of each request's scope.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

_CREDENTIALS = struct.Struct("=iII")
_KEY = "peer"


class Peer(msgspec.Struct, frozen=True):
    """A process and its user, as they were when it connected."""

    pid: int
    uid: int


class PeerProtocol(H11Protocol):
    """HTTP/1.1 that tells who is there."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        handle = transport.get_extra_info("socket")
        if handle is not None and handle.family == socket.AF_UNIX:
            data = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _ = _CREDENTIALS.unpack(data)
            self.app_state = {**self.app_state, _KEY: Peer(pid, uid)}


def peer_of(scope: Mapping[str, Any]) -> Peer | None:
    """Who sent the request of a scope; None where that is not known, as over TCP."""
    found = scope.get("state", {}).get(_KEY)
    return found if isinstance(found, Peer) else None
