"""From the leader to another member: bodies, refusals, members that hang or break off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from aiohttp import web

from drystone.base.errors import ExhaustedError, TimedOutError, UnavailableError
from drystone.fleet.calls import Calls
from drystone.fleet.disk.changes import Change
from drystone.fleet.documents import Member, Placement
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage import links
from drystone.fleet.storage.failures import ElsewhereError, encode_failure
from drystone.fleet.storage.frames import FrameReader
from drystone.fleet.storage.links import MemberLink
from drystone.fleet.storage.members import Apply, Done
from drystone.wire.tcp import Limits, iterate_body, serve_tcp

MEMBER = Member("s2", "data_1", "d", "secondary", "in_sync")
PLACEMENT = Placement("p", "ns", "h", "h", "shared", 1, "s1", (MEMBER,))
ORDER = Apply(PLACEMENT, Change("put", "p", ObjectInfo("h/k", 0, 0.0, "", "", 1), 1))
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def linked(handler: Handler) -> AsyncIterator[MemberLink]:
    limits = Limits(end_seconds=0.01)
    async with serve_tcp(handler, "127.0.0.1:0", limits=limits) as url, Calls("a-secret") as calls:
        link = MemberLink(calls, url, PLACEMENT, MEMBER, size=None)
        try:
            async with asyncio.timeout(120):
                yield link
        finally:
            await link.close()


async def take(request: web.BaseRequest, got: list[bytes]) -> None:
    frames = FrameReader(iterate_body(request, Limits()))
    got.append(await frames.document())
    got.append(b"".join([bytes(each) async for each in frames.data()]))
    got.append(await frames.document())


@pytest.mark.parametrize("blocks", [0, 1, 12])
def test_a_body_and_then_what_to_do_with_it(blocks: int) -> None:
    got: list[bytes] = []

    async def done(request: web.BaseRequest) -> web.StreamResponse:
        await take(request, got)
        return web.Response(body=msgspec.json.encode(Done(lacking=True)))

    async def run() -> None:
        async with linked(done) as link:
            for number in range(blocks):
                await link.send(bytes([number]) * 200_000)
            assert await link.finish(ORDER) == Done(lacking=True)
        assert got[1] == b"".join(bytes([number]) * 200_000 for number in range(blocks))
        assert msgspec.json.decode(got[2], type=Apply) == ORDER

    asyncio.run(run())


@pytest.mark.parametrize("error", [ElsewhereError(PLACEMENT), ExhaustedError("full")])
def test_a_member_that_refuses_at_once_is_not_waited_for(error: Exception) -> None:
    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(error, ElsewhereError | ExhaustedError)
        status, body = encode_failure(error)
        return web.Response(status=status, body=body)

    async def run() -> None:
        async with linked(refuse) as link:
            for _ in range(64):
                await link.send(bytes(1 << 20))
            with pytest.raises(type(error)):
                await link.finish(ORDER)

    asyncio.run(run())


def test_a_member_that_takes_nothing_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "STILL_SECONDS", 0.05)

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    async def run() -> None:
        async with linked(hang) as link:
            for _ in range(64):
                await link.send(bytes(1 << 20))
            assert isinstance(link.failure, TimedOutError)
            with pytest.raises(TimedOutError):
                await link.finish(ORDER)

    asyncio.run(run())


def test_a_small_change_is_sent_again_when_its_connection_broke() -> None:
    got: list[bytes] = []
    breaks = [True]

    async def break_once(request: web.BaseRequest) -> web.StreamResponse:
        await take(request, got)
        if breaks:
            breaks.pop()
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=msgspec.json.encode(Done()))

    async def run() -> None:
        async with linked(break_once) as link:
            await link.send(b"bytes")
            assert await link.finish(ORDER) == Done()
        assert got[1] == got[4] == b"bytes"

    asyncio.run(run())


def test_nobody_there() -> None:
    async def run() -> None:
        async with Calls("a-secret") as calls:
            link = MemberLink(calls, "http://127.0.0.1:9", PLACEMENT, MEMBER, size=None)
            with pytest.raises(UnavailableError):
                await link.finish(ORDER)
            await link.close()

    asyncio.run(run())
