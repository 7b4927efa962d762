"""An S3 client that calls a `Gateway` directly, without a network: for tests of single requests, also of wrong ones."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from drystone.fleet.documents import Key
from drystone.fleet.gateway.gateway import Gateway
from drystone.fleet.gateway.messages import GatewaySettings, Request
from drystone.fleet.objects import Objects
from drystone.fleet.s3 import xml
from drystone.fleet.s3.signing import sign_request
from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects

HOST = "s3.example"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self, root: str) -> xml.Node:
        """The XML in it."""
        return xml.parse(self.body, root)

    @property
    def code(self) -> str:
        """The error's code, "" when there is no document."""
        return self.document("Error").find_text("Code") if self.body else ""


class GatewayClient:
    """Calls a gateway.

    :param objects: in memory when None. :ivar time: of the gateway's clock, seconds since 1970; tests change it.
    :ivar read: bytes of the last request's body that the gateway took.
    """

    def __init__(
        self,
        *keys: Key,
        settings: GatewaySettings | None = None,
        make_objects: Callable[[MemoryCatalog], Objects] | None = None,
    ) -> None:
        self.time = 1_790_000_000.0
        self.read = 0
        self.catalog = MemoryCatalog(*keys)
        objects = make_objects(self.catalog) if make_objects else MemoryObjects(self.catalog, lambda: self.time)
        self.gateway = Gateway(objects, self.catalog, settings or GatewaySettings(), now=lambda: self.time)

    def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        key: Key | None,
        payload: str = "",
        secure: bool = False,
    ) -> Answer:
        """A request signed by `key`, unsigned for None. :param payload: x-amz-content-sha256, when not the body's."""
        sent = {"host": HOST, "content-length": str(len(body)), **(headers or {})}
        if key is not None:
            digest = payload or hashlib.sha256(body).hexdigest()
            sent = sign_request(method, target, sent, key.access_key, key.secret, now=self.time, payload=digest)
        return self.send(method, target, sent, body, secure=secure)

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, secure: bool = False
    ) -> Answer:
        """A request as it is."""
        self.read = 0
        return asyncio.run(self._send(method, target, headers, body, secure=secure))

    async def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, secure: bool) -> Answer:
        request = Request(method, target, tuple(headers.items()), self._pieces(body), secure, id="request-1")
        response = await self.gateway.handle(request)
        if isinstance(response.body, bytes):
            return Answer(response.status, response.headers, response.body)
        data = b"".join([bytes(piece) async for piece in response.body])
        return Answer(response.status, response.headers, data)

    async def _pieces(self, body: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(body), 50_000):
            piece = body[at : at + 50_000]
            self.read += len(piece)
            yield piece
