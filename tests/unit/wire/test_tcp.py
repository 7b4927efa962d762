"""Serving on TCP: addresses, limits, clients that wait, stand still or go away."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web

from drystone.base.errors import BusyError, TimedOutError, UnavailableError, UsageError
from drystone.testing.fleet.certificates import make_certificate
from drystone.wire.tcp import Limits, end_after, is_loopback, iterate_body, parse_address, serve_tcp, write_answer


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        (":65535", ("", 65535)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["8080", "host:", "host:65536", "host:-1", "::1:80", "host:80x", "host:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def test_only_loopback_is_loopback() -> None:
    assert [is_loopback(each) for each in ("127.0.0.1", "127.8.9.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(each) for each in ("", "0.0.0.0", "10.0.0.1", "example.org")] == [False] * 4


@contextlib.asynccontextmanager
async def talking(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = parse_address(url.removeprefix("http://"))
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(120):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Echo:
    """Answers with the body; notes how reading it failed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.failures: list[type[Exception]] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/refuse":
            answer = web.Response(status=403)
            end_after(request, answer)
            return answer
        try:
            data = b"".join([piece async for piece in iterate_body(request, self.limits)])
        except (TimedOutError, UnavailableError) as error:
            self.failures.append(type(error))
            return web.Response(status=400)
        answer = web.Response(body=data)
        end_after(request, answer)
        return answer


def test_a_client_that_asks_for_leave_gets_it_when_the_body_is_wanted() -> None:
    async def run() -> None:
        limits = Limits()
        async with serve_tcp(Echo(limits), "127.0.0.1:0", limits=limits) as url, talking(url) as (reader, writer):
            writer.write(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"body")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(4) == b"body"

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/", "/refuse"])
def test_who_asks_for_leave_to_send_nothing_is_told_to_go(path: str) -> None:
    async def run() -> None:
        limits = Limits()
        async with serve_tcp(Echo(limits), "127.0.0.1:0", limits=limits) as url, talking(url) as (reader, writer):
            writer.write(
                f"PUT {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200" if path == "/" else b"HTTP/1.1 403")
            assert b"connection: close" in head.lower()

    asyncio.run(run())


def test_a_refused_body_ends_the_connection() -> None:
    async def run() -> None:
        limits = Limits()
        async with serve_tcp(Echo(limits), "127.0.0.1:0", limits=limits) as url, talking(url) as (reader, writer):
            writer.write(b"PUT /refuse HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 403")
            assert b"connection: close" in head.lower()

    asyncio.run(run())


def test_a_body_that_stands_still_is_given_up() -> None:
    async def run() -> None:
        limits = Limits(still_seconds=0.05)
        echo = Echo(limits)
        async with serve_tcp(echo, "127.0.0.1:0", limits=limits) as url, talking(url) as (reader, writer):
            writer.write(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400")
        assert echo.failures == [TimedOutError]

    asyncio.run(run())


def test_headers_are_bounded() -> None:
    async def run() -> None:
        limits = Limits(field=200, line=200, fields=10)
        for head in (
            b"GET /" + b"x" * 300 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nx: " + b"y" * 300 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20 + b"\r\n",
        ):
            async with serve_tcp(Echo(limits), "127.0.0.1:0", limits=limits) as url, talking(url) as (reader, writer):
                writer.write(head)
                assert b" 400 " in await reader.readuntil(b"\r\n")

    asyncio.run(run())


def test_what_cannot_be_read_is_answered_without_a_word() -> None:
    async def run() -> None:
        async with serve_tcp(Echo(Limits()), "127.0.0.1:0") as url, talking(url) as (reader, writer):
            writer.write(b"\0\1\2 of the client\r\n\r\n")
            answer = (await reader.read()).lower()
            assert b" 400 " in answer
            assert not any(word in answer for word in (b"client", b"python", b"aiohttp"))

    asyncio.run(run())


def test_a_defect_of_a_handler_is_a_500_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: web.BaseRequest) -> web.StreamResponse:
        raise ValueError("of the inside")

    async def run() -> None:
        async with serve_tcp(fail, "127.0.0.1:0") as url, talking(url) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = await reader.read()
            assert b" 500 " in answer
            assert b"inside" not in answer

    asyncio.run(run())
    assert "of the inside" in caplog.text


def test_a_head_that_does_not_come_ends_the_connection() -> None:
    async def run() -> None:
        limits = Limits(head_seconds=0.05)
        async with serve_tcp(Echo(limits), "127.0.0.1:0", limits=limits) as url, talking(url) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost")
            assert await reader.read() == b""

    asyncio.run(run())


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("secure", [False, True])
def test_pieces_come_whole_and_in_order(tmp_path: Path, *, chunked: bool, secure: bool) -> None:
    """Those that the kernel takes at once, and those that wait for a client that is slow."""
    pieces = [bytes([number]) * size for number, size in enumerate((300_000, 7, 1 << 20, 0, 200_000, 9 << 20, 1))]
    whole = b"".join(pieces)
    sizes: list[int] = []

    async def pour(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={} if chunked else {"Content-Length": str(len(whole))})
        response._send_headers_immediately = False
        assert request.transport is not None
        request.transport.set_write_buffer_limits(1 if secure else 0, 0)
        await response.prepare(request)
        for piece in pieces:
            await write_answer(request, response, piece, Limits())
        await response.write_eof()
        sizes.append(request.writer.output_size)
        return response

    async def run() -> None:
        tls = make_certificate(tmp_path) if secure else None
        trusted = ssl.create_default_context(cafile=str(tls.certificate)) if tls else False
        async with serve_tcp(pour, "127.0.0.1:0", tls=tls) as url, asyncio.timeout(120):
            connector = aiohttp.TCPConnector(ssl=trusted, limit=1)
            async with aiohttp.ClientSession(connector=connector, read_bufsize=1000) as session:
                for _ in range(3):  # on one connection
                    async with session.get(url) as answer:
                        await asyncio.sleep(0.05)
                        assert await answer.read() == whole

    asyncio.run(run())
    assert all(len(whole) < size < len(whole) + 1000 for size in sizes)
    assert len(set(sizes)) == 1


def test_a_piece_is_gone_when_it_was_written() -> None:
    """Whoever wrote it fills the same memory with the next one, whatever the kernel took of it at once."""
    size, count = 200_000, 300

    async def pour(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(size * count)})
        assert request.transport is not None
        request.transport.set_write_buffer_limits(0, 0)
        await response.prepare(request)
        buffer = bytearray(size)
        for number in range(count):
            buffer[:] = bytes([number % 251]) * size
            await write_answer(request, response, memoryview(buffer), Limits())
        await response.write_eof()
        return response

    def read(url: str) -> list[int]:
        """Numbers of the pieces that are not as they were written."""
        with socket.socket() as client, client.makefile("rb", buffering=50_000) as file:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
            client.connect(parse_address(url.removeprefix("http://")))
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            while file.readline() != b"\r\n":
                pass
            return [number for number in range(count) if file.read(size) != bytes([number % 251]) * size]

    async def run() -> None:
        async with serve_tcp(pour, "127.0.0.1:0") as url, asyncio.timeout(120):
            assert await asyncio.to_thread(read, url) == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # whose transports copy nothing
        runner.run(run())


def test_a_client_that_takes_nothing_is_given_up() -> None:
    async def run() -> None:
        limits = Limits(still_seconds=0.05)
        failures: list[type[Exception]] = []

        async def pour(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await write_answer(request, response, bytes(1 << 20), limits)
            except TimedOutError as error:
                failures.append(type(error))
                assert request.transport is not None
                request.transport.abort()
            return response

        async with serve_tcp(pour, "127.0.0.1:0", limits=limits) as url, talking(url) as (_, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            async with asyncio.timeout(120):
                while not failures:  # noqa: ASYNC110  # nothing tells
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_port_that_is_taken_and_an_address_of_another_machine() -> None:
    async def run() -> None:
        async with serve_tcp(Echo(Limits()), "127.0.0.1:0") as url:
            with pytest.raises(BusyError):
                async with serve_tcp(Echo(Limits()), url.removeprefix("http://")):
                    pass
        with pytest.raises(UnavailableError):
            async with serve_tcp(Echo(Limits()), "192.0.2.1:0"):
                pass

    asyncio.run(run())


def test_an_application_is_served_too() -> None:
    async def run() -> None:
        async def hello(_: web.Request) -> web.Response:
            return web.Response(text="hello")

        application = web.Application()
        application.router.add_get("/", hello)
        async with serve_tcp(application, "[::1]:0") as url:
            assert url.startswith("http://[::1]:")
            async with talking(url) as (reader, writer):
                writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                assert (await reader.read()).endswith(b"hello")

    asyncio.run(run())


def test_a_request_that_does_not_end_has_the_time_that_is_said_and_no_more() -> None:
    async def run() -> None:
        events: list[str] = []
        asked = asyncio.Event()

        async def hang(_: web.BaseRequest) -> web.StreamResponse:
            asked.set()
            try:
                return await asyncio.Future[web.StreamResponse]()
            finally:
                events.append("the request ended")

        async with contextlib.AsyncExitStack() as client:
            async with serve_tcp(hang, "127.0.0.1:0", limits=Limits(end_seconds=0.2)) as url:
                _, writer = await client.enter_async_context(talking(url))
                writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                await asked.wait()
                loop = asyncio.get_running_loop()
                loop.call_later(0.1, events.append, "half of the time")  # of one loop's clock: in order on any machine
                loop.call_later(0.3, events.append, "one and a half of it")
            await asyncio.sleep(0.4)
        assert events == ["half of the time", "the request ended", "one and a half of it"]

    asyncio.run(run())
