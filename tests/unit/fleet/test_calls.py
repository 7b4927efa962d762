"""Calls between servers: deadlines, errors of the far side, the mapper that leads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from drystone.base.errors import DrystoneError, NotFoundError, RefusedError, TimedOutError, UnavailableError, UsageError
from drystone.fleet.calls import Calls, Mappers, authorize, read_secret
from drystone.fleet.documents import Allocation
from drystone.testing.fleet.certificates import make_certificate
from drystone.wire.problems import to_problem
from drystone.wire.tcp import Limits, TlsFiles, serve_tcp

SECRET = "a-secret-of-the-fleet"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    if not authorize(SECRET, request.headers.get("Authorization", "")):
        return web.Response(status=403)
    return web.Response(body=await request.read())


async def refuse(_: web.BaseRequest) -> web.StreamResponse:
    return web.json_response(to_problem(RefusedError("never", hint="ask nicely")), status=403)


async def hang(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(600)
    return web.Response()


async def pour_and_stop(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"some")
    await asyncio.sleep(600)
    return response


@contextlib.asynccontextmanager
async def calling(handler: Handler, secret: str = SECRET) -> AsyncIterator[tuple[Calls, str]]:
    async with serve_tcp(handler, "127.0.0.1:0", limits=Limits(end_seconds=0.01)) as url, Calls(secret) as calls:
        yield calls, url


def test_a_document_is_sent_and_one_comes_back() -> None:
    async def run() -> None:
        async with calling(echo) as (calls, url):
            assert await calls.ask(url + "/x", Allocation("ns", "host"), Allocation) == Allocation("ns", "host")
            with pytest.raises(DrystoneError, match="no Allocation"):
                await calls.ask(url, [1], Allocation)
        async with calling(echo, "another-secret") as (calls, url):
            assert (await calls.call("POST", url)).status == 403

    asyncio.run(run())


def test_what_the_far_side_raised_is_raised() -> None:
    async def run() -> None:
        async with calling(refuse) as (calls, url):
            with pytest.raises(RefusedError, match="never") as raised:
                await calls.ask(url, {}, dict)
            assert raised.value.hint == "ask nicely"

    asyncio.run(run())


def test_nobody_there_and_nobody_answering() -> None:
    async def run() -> None:
        async with calling(hang) as (calls, url):
            with pytest.raises(TimedOutError):
                await calls.call("GET", url, seconds=0.05)
        async with Calls(SECRET) as calls:
            with pytest.raises(UnavailableError):
                await calls.call("GET", url)

    asyncio.run(run())


def test_a_body_that_stands_still_is_not_waited_for() -> None:
    async def run() -> None:
        async with calling(pour_and_stop) as (calls, url), calls.open("GET", url, still_seconds=0.05) as stream:
            pieces = stream.pieces()
            assert await anext(pieces) == b"some"
            with pytest.raises(TimedOutError):
                await anext(pieces)

    asyncio.run(run())


def test_a_body_is_streamed() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number]) * 1000

    async def run() -> None:
        async with calling(echo) as (calls, url):
            answer = await calls.call("POST", url, pieces())
            assert answer.body == b"".join(bytes([number]) * 1000 for number in range(100))

    asyncio.run(run())


def test_the_mapper_that_leads_is_found_and_kept_to() -> None:
    asked: list[str] = []

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            leader = ""

            def make(name: str, status: int) -> Handler:
                async def handle(request: web.BaseRequest) -> web.StreamResponse:
                    asked.append(name)
                    if status == 307:
                        return web.Response(status=307, headers={"Location": leader + request.raw_path})
                    return web.json_response({"namespace": name, "host": "h"}, status=status)

                return handle

            urls = [
                await stack.enter_async_context(serve_tcp(make(name, status), "127.0.0.1:0"))
                for name, status in (("down", 503), ("follower", 307), ("leader", 200))
            ]
            leader = urls[2]
            calls = await stack.enter_async_context(Calls(SECRET))
            mappers = Mappers(calls, ("http://127.0.0.1:9", urls[0], urls[1]))
            answer = await mappers.ask("/internal/allocate", Allocation("a", "b"), Allocation)
            assert answer.namespace == "leader"
            assert asked == ["down", "follower", "leader"]
            await mappers.call("GET", "/internal/map")
            assert asked[3:] == ["leader"]
            with pytest.raises(UnavailableError, match="no mapper answers"):
                await Mappers(calls, (urls[0],)).call("GET", "/")

    asyncio.run(run())


def test_the_secret_is_compared_whole() -> None:
    assert authorize("s", "Bearer s")
    assert not any(authorize("s", header) for header in ("", "s", "Bearer ", "Bearer s2", "bearer s", "Bearer \u20ac"))


def test_a_secret_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(NotFoundError):
        read_secret(path)
    for wrong in (b"short", b"with blank inside it", b"\xff" * 20, "sécret-de-la-flotte".encode()):
        path.write_bytes(wrong)
        with pytest.raises(UsageError):
            read_secret(path)
    path.write_text("0123456789abcdef\n")
    assert read_secret(path) == "0123456789abcdef"


def test_tls_is_spoken_with_those_that_are_trusted(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path)

    async def run() -> None:
        async with serve_tcp(echo, "127.0.0.1:0", tls=tls) as url:
            assert url.startswith("https://")
            async with Calls(SECRET, authority=tls.certificate) as calls:
                assert (await calls.call("POST", url, b"body")).body == b"body"
            async with Calls(SECRET) as calls:
                with pytest.raises(UnavailableError):
                    await calls.call("POST", url, b"body")

    asyncio.run(run())


def test_a_key_that_does_not_belong_to_its_certificate(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tls, other = make_certificate(tmp_path), make_certificate(tmp_path / "other")
    for wrong in (TlsFiles(tls.certificate, other.key), TlsFiles(tmp_path / "none", tls.key)):
        with pytest.raises(UsageError):
            wrong.context()
