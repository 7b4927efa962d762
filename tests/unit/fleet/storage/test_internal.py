"""An answer that is sent piece by piece: what a client gets is what was to be sent, or the beginning of it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import uvloop
from aiohttp import web

from drystone.fleet.storage.internal import send_stream
from drystone.wire.tcp import Limits, parse_address, serve_tcp

SIZE = 8 << 20


def read_late(url: str, seconds: float) -> bytes:
    """The body of an answer, as far as it comes, when nothing of it is read for some seconds."""
    with socket.socket() as client, client.makefile("rb") as file:
        client.settimeout(120)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.connect(parse_address(url.removeprefix("http://")))
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(seconds)
        try:
            while file.readline() != b"\r\n":
                pass
            got = b""
            while piece := file.read1():
                got += piece
        except ConnectionError:
            pass
        return got


def test_nothing_of_a_buffer_that_others_get_is_sent_when_an_answer_is_broken_off() -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[memoryview]:
        buffer = bytearray(b"a" * SIZE)
        try:
            yield memoryview(buffer)
        finally:
            buffer[:] = b"b" * SIZE
            ended.set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.1, task.cancel)
        return await send_stream(request, pieces(), {"Content-Length": str(SIZE)}, Limits())

    async def run() -> None:
        async with serve_tcp(answer, "127.0.0.1:0") as url, asyncio.timeout(120):
            reading = asyncio.create_task(asyncio.to_thread(read_late, url, 0.5))
            await ended.wait()
            got = await reading
        assert got == b"a" * len(got)
        assert len(got) < SIZE

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # whose transports copy nothing
        runner.run(run())
