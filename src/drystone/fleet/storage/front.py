"""What comes in by HTTP: the fleet's own calls, the legacy interface, and S3 at every other path."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from drystone.base.errors import DrystoneError
from drystone.fleet.gateway.gateway import Gateway
from drystone.fleet.gateway.messages import Request
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.internal import Internal, send_stream
from drystone.fleet.storage.legacy import LegacyInterface
from drystone.wire.tcp import SERVER, Limits, end_after, iterate_body

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)


class Front:
    """The handler of every request.

    :param internal: of /internal/. :param legacy: of /api. :param gateway: of all else.
    """

    def __init__(self, internal: Internal, legacy: LegacyInterface, gateway: Gateway, limits: Limits) -> None:
        self._internal = internal
        self._legacy = legacy
        self._gateway = gateway
        self._limits = limits

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer; never raises but when the request is cancelled."""
        from aiohttp import web

        path = request.raw_path.partition("?")[0]
        if path.startswith("/internal/"):
            return await self._internal.handle(request, path)
        if path == "/api" or path.startswith("/api/"):
            return await self._legacy.handle(request, path)
        if path == "/health" and request.method == "GET" and "Authorization" not in request.headers:
            return web.Response(body=b"{}", content_type="application/json", headers={"Server": SERVER})
        return await self._serve_s3(request)

    async def _serve_s3(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        asked = Request(
            method=request.method,
            target=request.raw_path,
            headers=tuple(
                (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))
                for name, value in request.raw_headers
            ),
            body=self._read_body(request),
            secure=request.secure,
            peer=request.remote or "",
            id=f"{random.getrandbits(128):032x}",  # for logs; the system's randomness would cost a call of it
        )
        response = await self._gateway.handle(asked)
        if isinstance(response.body, bytes):
            answer = web.StreamResponse(status=response.status, headers=response.headers)
            if request.method != "HEAD":
                answer.headers.setdefault("content-length", str(len(response.body)))
            end_after(request, answer)
            await answer.prepare(request)
            if response.body and request.method != "HEAD":
                await answer.write(response.body)
            await answer.write_eof()
            return answer
        return await send_stream(request, response.body, response.headers, self._limits, response.status)

    async def _read_body(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """The body; what breaks it off is told as S3 tells it."""
        try:
            async for piece in iterate_body(request, self._limits):
                yield piece
        except DrystoneError as error:
            raise S3Error(Code.RequestTimeout if error.code == "timed-out" else Code.IncompleteBody) from error
