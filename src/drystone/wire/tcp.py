"""Serving HTTP on TCP, with TLS where wanted, by aiohttp: the fleet's servers.

Limits: a request's head is bounded in bytes and lines, and must have arrived `head_seconds` after the connection (or
the last answer); a body or an answer that stands still for `still_seconds` ends its connection. aiohttp is imported
when something is served, as only the fleet needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drystone.base.errors import BusyError, TimedOutError, UnavailableError, UsageError

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

SERVER = "drystone"
"""The `Server` header of answers: what serves, without its version."""
_LONG = 128 << 10
"""Bytes: a shorter piece of an answer is left to the transport."""
_LINGER_SECONDS = 5.0
"""How long the rest of a refused body is read, so that its sender gets to see the answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take.

    :ivar line: bytes of the request line. :ivar field: bytes of one header with its name. :ivar fields: headers.
    :ivar head_seconds: until a request's head is there. :ivar still_seconds: without a byte of a body or an answer.
    :ivar end_seconds: that requests under way have when the server ends. :ivar buffer: bytes read ahead of a body.
    """

    line: int = 16 << 10
    field: int = 16 << 10
    fields: int = 128
    head_seconds: float = 60.0
    still_seconds: float = 30.0
    end_seconds: float = 10.0
    buffer: int = 1 << 20


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate (PEM, with those that lead to its root) and its key."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 and later. :raises UsageError: a file cannot be read, or the two do not belong together."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"certificate {self.certificate} with key {self.key}: {error}") from error
        return made


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080`, `[::1]:8080` or `:8080` (every address). Port 0 is any free one.

    :raises UsageError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"address {text!r} is not HOST:PORT", hint="write 127.0.0.1:8080, [::1]:8080 or :8080")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"address {text!r}: an IPv6 address is put in brackets", hint="write [::1]:8080")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that is listened on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def serve_tcp(
    application: web.Application | Handler, listen: str, *, tls: TlsFiles | None = None, limits: Limits | None = None
) -> AsyncIterator[str]:
    """Answer requests while the block runs; what is yielded is the URL, with the port that was taken.

    At its end no new connection is taken, and requests under way have `limits.end_seconds`.

    :param application: aiohttp's, or a plain handler of every request (which answers `Expect` itself).
    :raises BusyError: the port is taken. :raises UnavailableError: the address is not one of this machine.
    :raises UsageError: `listen` or the TLS files are wrong.
    """

    host, port = parse_address(listen)
    context = tls.context() if tls else None
    allowed = limits or Limits()
    runner = _make_runner(application, allowed)
    await runner.setup()
    try:
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(
                _make_connections(runner), host or None, port, ssl=context, backlog=1024, reuse_address=True
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BusyError(f"another process listens on {listen}", hint="name another port") from error
            raise UnavailableError(f"cannot listen on {listen}: {error.strerror or error}") from error
        try:
            taken = int(listening.sockets[0].getsockname()[1])
            shown = f"[{host}]" if ":" in host else host or "127.0.0.1"
            yield f"{'https' if context else 'http'}://{shown}:{taken}"
        finally:
            listening.close()
    finally:
        await runner.cleanup()


def _make_connections(runner: web.BaseRunner) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of each connection: aiohttp's own, but for what it says of a request that it cannot read.

    That would name the library, and hand back what the client sent; and fill the log with a trace for each.
    """
    from aiohttp import web

    class Connection(web.RequestHandler):
        """A connection whose errors tell nothing."""

        __slots__ = ()

        async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  # aiohttp asks for it
            """As aiohttp's own, which waits `timeout` twice for a request that does not end."""
            if self._task_handler is not None and timeout is not None:
                asyncio.get_running_loop().call_later(timeout, self._task_handler.cancel)
            await super().shutdown(timeout)

        def handle_error(
            self,
            request: web.BaseRequest,
            status: int = 500,
            exc: BaseException | None = None,
            message: str | None = None,  # noqa: ARG002  # aiohttp's own words
        ) -> web.StreamResponse:
            if status >= 500:
                log.error("a request of %s failed", request.remote, exc_info=exc)
            else:
                log.info("a request of %s cannot be read: %s", request.remote, type(exc).__name__)
            if request.writer.output_size > 0:
                raise ConnectionError("an answer was begun already")
            answer = web.Response(status=status, headers={"Server": SERVER})
            answer.force_close()
            return answer

    server = runner.server
    assert server is not None, "set up"
    settings = server._kwargs  # noqa: SLF001  # what a runner gives it has no other way to its connections
    return lambda: Connection(server, loop=asyncio.get_running_loop(), **settings)


def _make_runner(application: web.Application | Handler, limits: Limits) -> web.BaseRunner:
    from aiohttp import web

    settings: dict[str, Any] = {
        "max_line_size": limits.line,
        "max_field_size": limits.field,
        "max_headers": limits.fields,
        "keepalive_timeout": limits.head_seconds,
        "read_bufsize": limits.buffer,
        "lingering_time": _LINGER_SECONDS,
        "auto_decompress": False,
        "access_log": None,
    }
    if isinstance(application, web.Application):
        return web.AppRunner(application, shutdown_timeout=limits.end_seconds, handler_cancellation=True, **settings)
    server = web.Server(application, handler_cancellation=True, **settings)
    return web.ServerRunner(server, shutdown_timeout=limits.end_seconds)


async def iterate_body(request: web.BaseRequest, limits: Limits) -> AsyncIterator[bytes]:
    """The body as it comes, in pieces of any size.

    To be called once. A client that waits for `100 Continue` is told to go on when the first piece is asked for, so
    that who is refused sends nothing.

    :raises TimedOutError: nothing came for `limits.still_seconds`. :raises UnavailableError: the client went away.
    """
    from aiohttp import web

    content = request.content
    if _asks_for_leave(request) and not content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    while True:
        try:
            piece = content.read_nowait()
            if not piece and not content.at_eof():
                async with asyncio.timeout(limits.still_seconds):
                    piece = await content.readany()
        except TimeoutError as error:
            raise TimedOutError(f"nothing of the body came for {limits.still_seconds:g} s") from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise UnavailableError(f"the body broke off: {error}") from error
        if not piece:
            return
        yield piece


def _asks_for_leave(request: web.BaseRequest) -> bool:
    """Whether the client waits for `100 Continue`."""
    return request.headers.get("Expect", "").lower() == "100-continue"


def end_after(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """To be called before an answer is begun: its connection ends with it when the body was not read to its end, as
    nobody can say whether the next bytes are that body (which the client may never have been told to send).

    Also when the client waited for leave to send nothing: botocore before 1.44 takes the status that comes instead for
    that of the connection's next answer too.
    """
    if not request.content.is_eof() or (_asks_for_leave(request) and request.content_length == 0):
        response.force_close()


async def write_answer(
    request: web.BaseRequest, response: web.StreamResponse, data: bytes | memoryview, limits: Limits
) -> None:
    """Send a piece of the answer to a request. Where the limit of the transport's write buffer is 0, the piece is gone
    when this returns: its memory may be used again.

    :raises TimedOutError: the client took nothing for `limits.still_seconds`. :raises UnavailableError: it went away.
    """
    try:
        if len(data) >= _LONG:
            data = memoryview(data)[_send_at_once(request, data) :]
            if not data:
                return
        async with asyncio.timeout(limits.still_seconds):
            await response.write(data)
            await request.writer.drain()  # `write` does so for a long piece only, not for what is left of one
    except TimeoutError as error:
        raise TimedOutError(f"the client took nothing for {limits.still_seconds:g} s") from error
    except OSError as error:
        raise UnavailableError(f"the client went away: {error}") from error


def _send_at_once(request: web.BaseRequest, data: bytes | memoryview) -> int:
    """Send what the kernel takes right now of the next piece of an answer; how many bytes that was.

    Past the transport, which keeps the interpreter's lock while the kernel copies, so that every thread waits; and in
    one call with the answer's head, which aiohttp joins to the piece by copying both. 0 where it has to be the
    transport: with TLS, in chunks, or while others wait to be sent.

    :raises ConnectionError: the client went away.
    """
    from aiohttp.http_writer import StreamWriter

    transport, writer = request.transport, request.writer
    if transport is None or transport.is_closing() or transport.get_write_buffer_size() or request.secure:
        return 0
    if not isinstance(writer, StreamWriter) or writer.chunked:
        return 0
    head, writer._headers_buf, writer._headers_written = writer._headers_buf or b"", None, True  # noqa: SLF001
    try:
        sent = os.writev(transport.get_extra_info("socket").fileno(), [head, data])
    except BlockingIOError:
        sent = 0
    writer.output_size += max(sent, len(head))
    if sent < len(head):
        transport.write(head[sent:])
        return 0
    sent -= len(head)
    if writer.length is not None:
        writer.length -= sent
    return sent


async def wait_for_signal() -> None:
    """Wait for SIGTERM or SIGINT. A second one then ends the process at once, as SIGKILL would."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, told.set)
    try:
        await told.wait()
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
    log.info("ending once the requests under way are done; a second signal ends it now")
