"""The cluster's API asked in one process, without a network, over a database that the test names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx

from drystone.cluster.api.desk import Desk
from drystone.cluster.api.routes import make_api
from drystone.cluster.api.tokens import Caller, Tokens
from drystone.cluster.state.database import Database

OPERATOR = "an-operators-token"
VIEWER = "a-viewers-token-too"
AGENT = "the-token-of-the-agent-of-h1"
GIB = 1 << 30


class Client:
    """Requests of an operator, alice, unless another token is given."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        callers = {OPERATOR: Caller("alice", "operator"), VIEWER: Caller("eve", "viewer"), AGENT: Caller("h1", "agent")}
        tokens = Tokens(callers)
        self.application = make_api(desk, tokens, page_seconds=0)

    def send(
        self, method: str, path: str, body: object = None, *, key: str = "", token: str = OPERATOR
    ) -> httpx.Response:
        """Send one request. `body`: bytes as they are, other values as JSON."""
        headers: dict[bytes, bytes] = {}
        if token:
            headers[b"authorization"] = f"Bearer {token}".encode()
        if key:
            headers[b"idempotency-key"] = key.encode()

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://api/v1") as client:
                if isinstance(body, bytes):
                    return await client.request(method, path, content=body, headers=headers)
                return await client.request(method, path, json=body, headers=headers)

        return asyncio.run(ask())

    def ask(self, method: str, path: str, body: object = None, *, key: str = "") -> tuple[int, Any]:
        """Status and document of the answer, None for an empty one."""
        answer = self.send(method, path, body, key=key)
        return answer.status_code, answer.json() if answer.content else None

    def must(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """The document of an answer that is no error."""
        status, document = self.ask(method, path, body, key=key)
        assert status < 300, document
        return document

    def make_dpvs(self, *names: str, size: int = 100 * GIB, location: str = "", available: bool = True) -> None:
        """Register dpvs."""
        for name in names:
            addresses = {"address": f"{name}:9400", "portal": f"{name}:3260"}
            self.must("POST", "/dpvs", {"name": name, "size": size, "location": location, **addresses})
            if available:
                self.must("POST", f"/dpvs/{name}/available", {"reason": "seen"})

    def make_group(self, *names: str, size: int = 100 * GIB) -> None:
        """Register dpvs, and make dvg `fast` of them."""
        self.make_dpvs(*names, size=size)
        self.must("POST", "/dvgs", {"name": "fast", "dpvs": names})

    def make_ihost(self, name: str) -> None:
        """Register an ihost that is available."""
        initiator = f"iqn.2026-11.example:{name}"
        self.must("POST", "/ihosts", {"name": name, "address": f"{name}:9401", "initiator": initiator})
        self.must("POST", f"/ihosts/{name}/available", {})

    def make_dlv(self, name: str = "db", **wanted: object) -> Any:
        """Create a dlv of 1 GiB in dvg `fast`."""
        return self.must("POST", "/dlvs", {"name": name, "dvg": "fast", "size": GIB, **wanted})

    def events(self) -> list[tuple[str, str, str]]:
        """What, kind and subject of all events."""
        found = self.must("GET", "/events?limit=1000")
        return [(each["what"], each["kind"], each["subject"]) for each in found["items"]]


@contextlib.contextmanager
def open_client(url: str) -> Iterator[Client]:
    """A client of an API over the database at `url`."""
    database = Database(url)
    database.open()
    desk = Desk(database)
    try:
        yield Client(desk)
    finally:
        desk.close()
        database.close()
