"""Requests are served on behalf of whoever sent them (audit.py)."""

from __future__ import annotations

from typing import Any

from drystone.kernel.processes import program_of
from drystone.volumes.audit import Actor, acting
from drystone.wire.gate import Application
from drystone.wire.peers import peer_of


class Acting:
    """An application whose requests are served on behalf of whoever sent them."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        peer = peer_of(scope)
        token = acting.set(Actor(peer.pid, peer.uid, program_of(peer.pid))) if peer else None
        try:
            await self._inner(scope, receive, send)
        finally:
            if token is not None:
                acting.reset(token)
