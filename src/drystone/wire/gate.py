"""What every request passes before the application sees it: an id, a limit on its body, and a limit on its patience."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from drystone.base.errors import DrystoneError, TimedOutError, UsageError
from drystone.wire.problems import CONTENT_TYPE, status_of, to_problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 1 << 20
"""Bytes of a request's body; ours are a few hundred."""
BODY_SECONDS = 30.0
"""How long a body may take to arrive."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


class Gate:
    """An ASGI application around another.

    A request without a well-formed X-Request-Id gets one; the answer bears it. The body is read whole here, so that a
    client that hangs holds a connection but no worker.
    """

    def __init__(
        self, application: Application, *, body_limit: int = BODY_LIMIT, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._application = application
        self._body_limit = body_limit
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await self._read_body(headers, receive)
        except TimeoutError:
            late = TimedOutError(f"the body did not arrive in {self._body_seconds:g} s")
            await _refuse(send, late, 408, request_id, headers)
            return
        except _TooLargeError:
            large = UsageError(f"the body is larger than {self._body_limit} bytes")
            await _refuse(send, large, 413, request_id, headers)
            return
        if body is None:
            return
        await self._application(scope, _replay(body, receive), _stamp(send, request_id))

    async def _read_body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None when the client went away."""
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._body_limit:
            raise _TooLargeError
        parts: list[bytes] = []
        total = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            total += len(part)
            if total > self._body_limit:
                raise _TooLargeError
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _TooLargeError(Exception):
    """The body is over the limit."""


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that hands out `body` once, then what comes on the connection (its end)."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed


def _stamp(send: Send, request_id: str) -> Send:
    """A send that adds the request's id to the answer."""

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
        await send(message)

    return stamped


def render(error: DrystoneError, status: int | None, request_id: str, accept: str) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer that is an error: a problem document for who accepts JSON, else text.

    Convoy's clients and curl send no such Accept and get the text.
    """
    code = status or status_of(error)
    if "json" in accept:
        return code, CONTENT_TYPE, msgspec.json.encode(to_problem(error, status=code, request_id=request_id))
    return code, "text/plain", f"{error}\n".encode()


async def _refuse(send: Send, error: DrystoneError, status: int, request_id: str, headers: dict[bytes, bytes]) -> None:
    """Answer with an error and end the connection: the rest of the body is not waited for."""
    accept = headers.get(b"accept", b"").decode("latin-1")
    code, content_type, body = render(error, status, request_id, accept)
    start_headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": code, "headers": start_headers})
    await send({"type": "http.response.body", "body": body})
