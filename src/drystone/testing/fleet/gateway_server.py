"""The S3 gateway over objects in memory, on loopback: for tests with real S3 clients.

with start_gateway() as server:
    client = boto3.client("s3", endpoint_url=server.url, ...)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import web

from drystone.base.errors import TimedOutError, UnavailableError
from drystone.fleet.documents import Key
from drystone.fleet.gateway.gateway import Gateway
from drystone.fleet.gateway.messages import GatewaySettings, Request
from drystone.testing.fleet.background import serving
from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects
from drystone.wire.tcp import Limits, end_after, iterate_body, serve_tcp, write_answer

ADMIN = Key("DRYSTONEADMIN", "administrators-secret", {"*": "admin"})
READER = Key("DRYSTONEREADER", "readers-secret", {"*": "read"})
STRANGER = Key("DRYSTONESTRANGER", "strangers-secret", {})


@dataclass(slots=True)
class GatewayServer:
    """A gateway that runs. :ivar url: of it. :ivar offset: seconds that its clock is ahead."""

    catalog: MemoryCatalog
    url: str = ""
    offset: float = 0.0
    settings: GatewaySettings = field(default_factory=GatewaySettings)

    def now(self) -> float:
        """Its clock, seconds since 1970."""
        return time.time() + self.offset


def make_handler(gateway: Gateway, limits: Limits) -> Callable[[web.BaseRequest], object]:
    """An aiohttp handler that asks `gateway`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = tuple(
            (name.decode().lower(), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers
        )
        asked = Request(
            request.method, request.raw_path, headers, iterate_body(request, limits), id=uuid4().hex, secure=False
        )
        answer = await gateway.handle(asked)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        end_after(request, response)
        await response.prepare(request)
        if isinstance(answer.body, bytes):
            if request.method != "HEAD":
                await response.write(answer.body)
        else:
            with contextlib.suppress(TimedOutError, UnavailableError):
                await _send(request, response, answer.body, limits)
        await response.write_eof()
        return response

    return handle


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, body: AsyncIterator[bytes | memoryview], limits: Limits
) -> None:
    async for piece in body:
        await write_answer(request, response, piece, limits)


@contextlib.contextmanager
def start_gateway(
    *keys: Key, settings: GatewaySettings | None = None, limits: Limits | None = None
) -> Iterator[GatewayServer]:
    """Serve while the block runs, in a thread. :param keys: in addition to ADMIN, READER and STRANGER."""
    catalog = MemoryCatalog(ADMIN, READER, STRANGER, *keys)
    server = GatewayServer(catalog, settings=settings or GatewaySettings())
    gateway = Gateway(MemoryObjects(catalog, server.now), catalog, server.settings, now=server.now)

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[str]:
        allowed = limits or Limits()
        handler = make_handler(gateway, allowed)
        async with serve_tcp(handler, "127.0.0.1:0", limits=allowed) as url:  # type: ignore[arg-type]
            yield url

    with serving(serve, "gateway") as server.url:
        yield server
