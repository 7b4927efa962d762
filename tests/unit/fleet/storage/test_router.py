"""Calls follow the leader: through a failover, away from one that hangs, and what cannot be sent twice waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drystone.base.errors import UnavailableError
from drystone.fleet.calls import Answer, Body, Calls, Mappers, Stream
from drystone.fleet.documents import FleetMap, Member, Placement, Server
from drystone.fleet.objects import Conditions, ObjectInfo, Page, PutOptions
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage import requests, router
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.router import Router
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.standing import Standings

MEMBERS = tuple(Member(each, "data_1", f"disk-of-{each}", "primary", "in_sync") for each in ("one", "two"))
SERVERS = tuple(Server(each, f"http://{each}") for each in ("one", "two"))
FOUND = ObjectInfo("host/key", 3, 0.0, "etag", "digest", 1)


def placement(epoch: int, leader: str) -> Placement:
    return Placement("p", "bucket", "host", "host", "shared", epoch, leader, MEMBERS)


class DeadMappers(Mappers):
    """None answers."""

    async def call(self, method: str, path: str, document: object = None, **_: Any) -> Answer:
        raise UnavailableError("no mapper")


Entry = Callable[[requests.Call], Awaitable[object]]


class FakeCalls(Calls):
    """Servers that answer by functions. :ivar made: what was asked, of whom. :ivar asked: something was.

    :ivar known: placements that a server says it knows; one that is not here does not answer.
    """

    def __init__(self, servers: Mapping[str, Entry]) -> None:
        super().__init__("a-secret")
        self._servers = {f"http://{name}": entry for name, entry in servers.items()}
        self.made: list[tuple[str, str]] = []
        self.known: dict[str, tuple[Placement, ...]] = {}
        self.asked = asyncio.Event()

    async def _answer(self, url: str, call: requests.Call) -> Answer:
        server = url.removesuffix("/internal/objects")
        self.made.append((server.removeprefix("http://"), type(call).__name__))
        self.asked.set()
        return Answer(200, msgspec.json.encode(await self._servers[server](call)), {})

    async def call(self, method: str, url: str, body: Body = b"", **_: Any) -> Answer:
        assert isinstance(body, bytes)
        if url.endswith(router.PLACEMENTS_PATH):
            name = url.removesuffix(router.PLACEMENTS_PATH).removeprefix("http://")
            if name not in self.known:
                raise UnavailableError("connection refused")
            return Answer(200, msgspec.json.encode(self.known[name]), {})
        return await self._answer(url, msgspec.json.decode(body, type=requests.Call))

    @contextlib.asynccontextmanager
    async def open(self, method: str, url: str, *, body: Body = b"", **_: Any) -> AsyncIterator[Stream]:
        assert not isinstance(body, bytes)
        async for _piece in body:
            pass
        answer = await self._answer(url, requests.Put("bucket", "host/key", PutOptions()))

        class Whole(Stream):
            def __init__(self) -> None:
                self.status = answer.status

            async def read(self) -> Answer:
                return answer

        yield Whole()


class Sent:
    """A body of so many pieces of 1 MiB."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.pieces):
            yield bytes(1 << 20)

    def trailers(self) -> dict[str, str]:
        return {}


class Local(LocalObjects):
    """We lead nothing."""

    def __init__(self) -> None:
        pass


async def dead(call: requests.Call) -> object:
    raise UnavailableError("connection refused")


async def hung(call: requests.Call) -> object:
    await asyncio.Event().wait()
    return None


async def alive(call: requests.Call) -> object:
    return Page((), (), "") if isinstance(call, requests.ListKeys) else FOUND


def prepare(
    tmp_path: Path, servers: Mapping[str, Entry], *, patience: float = 12.0
) -> tuple[Router, Standings, FakeCalls]:
    calls = FakeCalls(servers)
    atlas = Atlas(tmp_path)
    atlas.take(FleetMap("f", 1, 1, servers=SERVERS, placements=(placement(1, "one"),)))
    standings = Standings("three", atlas, Shelf(tmp_path, tmp_path), DeadMappers(calls, ("http://127.0.0.1:9",)))
    mappers = DeadMappers(calls, ("http://127.0.0.1:9",))
    return Router(Local(), standings, calls, mappers, patience=patience), standings, calls


async def fail_over(standings: Standings, calls: FakeCalls) -> None:
    """The second leads, once the first was asked."""
    await calls.asked.wait()
    await standings.learn_placement(placement(2, "two"))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "_PAUSE", 0.001)
    monkeypatch.setattr(router, "_LAST_SECONDS", 0.01)


@pytest.mark.parametrize("first", [dead, hung])
def test_a_call_is_answered_by_the_next_leader(tmp_path: Path, first: Entry) -> None:
    async def run() -> None:
        objects, standings, calls = prepare(tmp_path, {"one": first, "two": alive})
        found, _ = await asyncio.gather(objects.head("bucket", "host/key"), fail_over(standings, calls))
        assert found == FOUND
        assert calls.made[-1] == ("two", "Head")
        assert not standings.watchers

    asyncio.run(run())


@pytest.mark.parametrize("first", [dead, hung])
def test_what_cannot_be_sent_twice_is_held_until_the_next_leader_answers(tmp_path: Path, first: Entry) -> None:
    async def run() -> None:
        objects, standings, calls = prepare(tmp_path, {"one": first, "two": alive})
        put = asyncio.create_task(objects.put("bucket", "host/key", Sent(3), PutOptions()))
        for _ in range(30):
            await asyncio.sleep(0.002)
        assert not put.done(), "it would be tried again while nobody leads"
        await standings.learn_placement(placement(2, "two"))
        with pytest.raises(S3Error) as caught:
            await put
        assert caught.value.code is Code.SlowDown
        assert calls.made[-1] == ("two", "ListKeys"), "who is told to try again finds a leader that answers"

    asyncio.run(run())


def test_a_short_body_is_sent_to_the_next_leader(tmp_path: Path) -> None:
    async def run() -> None:
        objects, standings, calls = prepare(tmp_path, {"one": dead, "two": alive})
        stored, _ = await asyncio.gather(
            objects.put("bucket", "host/key", Sent(1), PutOptions()), fail_over(standings, calls)
        )
        assert stored == FOUND
        assert calls.made[-1] == ("two", "Put")

    asyncio.run(run())


def test_a_conditional_put_is_not_made_twice_by_us(tmp_path: Path) -> None:
    async def run() -> None:
        objects, standings, calls = prepare(tmp_path, {"one": dead, "two": alive})
        options = PutOptions(conditions=Conditions(if_none_match=("*",)))
        with pytest.raises(S3Error) as caught:
            await asyncio.gather(objects.put("bucket", "host/key", Sent(1), options), fail_over(standings, calls))
        assert caught.value.code is Code.SlowDown
        assert ("two", "Put") not in calls.made

    asyncio.run(run())


def test_nobody_waits_for_a_leader_for_ever(tmp_path: Path) -> None:
    async def run() -> None:
        objects, _, _ = prepare(tmp_path, {"one": dead}, patience=0.02)
        for call in (objects.head("bucket", "host/key"), objects.put("bucket", "host/key", Sent(3), PutOptions())):
            with pytest.raises(S3Error) as caught:
                await call
            assert caught.value.code is Code.SlowDown

    asyncio.run(run())


def test_a_read_goes_on_at_the_next_leader_where_it_broke_off(tmp_path: Path) -> None:
    class Reading(FakeCalls):
        @contextlib.asynccontextmanager
        async def open(self, method: str, url: str, *, body: Body = b"", **_: Any) -> AsyncIterator[Stream]:
            assert isinstance(body, bytes)
            asked = msgspec.json.decode(body, type=requests.Read)
            server = url.removeprefix("http://").partition("/")[0]
            self.made.append((server, f"{asked.begin}:{asked.end}"))
            self.asked.set()

            class Pieces(Stream):
                def __init__(self) -> None:
                    self.status = 200

                async def pieces(self) -> AsyncIterator[bytes]:
                    if server == "two":
                        yield bytes(asked.end - asked.begin)
                    else:
                        yield b"ab"
                        await asyncio.Event().wait()

            yield Pieces()

    async def run() -> None:
        _, standings, _ = prepare(tmp_path, {})
        calls = Reading({})
        mappers = DeadMappers(calls, ("http://127.0.0.1:9",))
        objects = Router(Local(), standings, calls, mappers, patience=12.0)

        async def read() -> bytes:
            pieces = await objects.read("bucket", "host/key", FOUND, 0, 3)
            return b"".join([bytes(piece) async for piece in pieces])

        found, _ = await asyncio.gather(read(), fail_over(standings, calls))
        assert found == b"ab\0"
        assert calls.made == [("one", "0:3"), ("two", "2:3")]

    asyncio.run(run())


def test_a_listing_has_hosts_that_are_new_since_no_mapper_answers_here(tmp_path: Path) -> None:
    """The server was cut off; another one asked a mapper for the host's placement."""

    async def run() -> None:
        objects, _, calls = prepare(tmp_path, {"one": alive, "two": alive})
        new = msgspec.structs.replace(placement(1, "two"), id="q", host="new", folder="new")
        calls.known = {"one": (placement(1, "one"),), "two": (placement(1, "one"), new)}
        await objects.list("bucket", "", "", "", 10)
        assert sorted(calls.made) == [("one", "ListKeys"), ("two", "ListKeys")]

    asyncio.run(run())


def test_a_listing_that_may_lack_hosts_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        objects, _, calls = prepare(tmp_path, {"one": alive, "two": alive})
        calls.known = {"one": (placement(1, "one"),)}
        with pytest.raises(S3Error) as caught:
            await objects.list("bucket", "", "", "", 10)
        assert caught.value.code is Code.SlowDown
        assert calls.made == []

    asyncio.run(run())
