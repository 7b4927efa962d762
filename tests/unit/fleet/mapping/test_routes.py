"""The mapper's HTTP: who answers what, and who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from drystone.base.clock import SystemClock
from drystone.fleet.documents import FleetMap, Placement
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.epochs import SHORT
from drystone.fleet.mapping.legacy_routes import LegacyRoutes
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.model import PlacementChange
from drystone.fleet.mapping.routes import make_application
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.sql import SqlDatabase
from drystone.fleet.orders import NewBucket
from drystone.testing.fleet.sketch import copy_on

Client = TestClient[web.Request, web.Application]
BEARER = {"Authorization": "Bearer secret"}


def run(folder: Path, action: Callable[[Client, Client, Desk], Awaitable[None]]) -> None:
    """The mapper m1, which leads, and m2, which does not."""

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            clients: list[Client] = []
            desks: list[Desk] = []
            for name in ("m1", "m2"):
                desk = make_desk(folder, name)
                desks.append(desk)
                await desk.open()
                stack.push_async_callback(desk.close)
                application = make_application(desk, "secret")
                application.add_routes(LegacyRoutes(desk, open_to_all=False).table())
                clients.append(await stack.enter_async_context(TestClient(TestServer(application))))
            await action(clients[0], clients[1], desks[0])

    asyncio.run(serve())


class Awaited(asyncio.Event):
    """An event that tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.awaited.set()
        return await super().wait()


def make_desk(folder: Path, name: str) -> Desk:
    database = SqlDatabase(f"sqlite:///{folder / 'map.db'}")
    return Desk(
        lambda changed: Mapper(database, Rules(), SystemClock(), id=name, url=f"http://{name}", changed=changed)
    )


@pytest.mark.parametrize("path", ["/internal/map", "/internal/status", "/internal/audit?limit=3", "/api?action=x"])
def test_a_mapper_that_does_not_lead_names_the_leader(tmp_path: Path, path: str) -> None:
    async def ask(_leads: Client, other: Client, _desk: Desk) -> None:
        async with other.get(path, headers=BEARER, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (307, f"http://m1{path}")

    run(tmp_path, ask)


def test_monitors_are_told_of_placements_that_have_few_epochs_left(tmp_path: Path) -> None:
    placement = Placement("p", "ns", "h", "h", "shared", SHORT, "s1", (copy_on("s1/1"),))

    async def ask(leads: Client, other: Client, desk: Desk) -> None:
        await desk.do(lambda: desk.mapper.commit([PlacementChange(placement, 0, "made")]))
        async with leads.get("/health") as answer:
            assert await answer.json() == {"leads": True, "term": desk.mapper.term, "short": 1}
        async with other.get("/health") as answer:
            assert await answer.json() == {"leads": False, "term": 0, "short": 0}

    run(tmp_path, ask)


def test_who_waits_for_the_map_has_it_with_the_next_commit(tmp_path: Path) -> None:
    async def ask(leads: Client, _other: Client, desk: Desk) -> None:
        async with leads.get("/internal/map", headers=BEARER) as answer:
            version = msgspec.json.decode(await answer.read(), type=FleetMap).version
        async with leads.get(f"/internal/map?newer={version}", headers=BEARER) as answer:
            assert answer.status == 204
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(fetch(leads, f"/internal/map?newer={version}&wait=25"))
            await asyncio.sleep(0)
            await desk.do(lambda: desk.orders.make_bucket(NewBucket("backups")))
        found = waiting.result()
        assert (found.version, [each.name for each in found.buckets]) == (version + 1, ["backups"])

    run(tmp_path, ask)


def test_who_waits_for_the_map_is_sent_away_when_the_mapper_ends(tmp_path: Path) -> None:
    async def ask(leads: Client, _other: Client, desk: Desk) -> None:
        version = desk.mapper.model.version
        desk.news = news = Awaited()
        waiting = asyncio.create_task(leads.get(f"/internal/map?newer={version}&wait=25", headers=BEARER))
        await news.awaited.wait()
        await desk.close()
        assert news.is_set(), "nobody waits longer than that"
        async with await waiting as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        async with leads.get("/internal/map", headers=BEARER) as answer:
            assert answer.status == 503

    run(tmp_path, ask)


async def fetch(client: Client, path: str) -> FleetMap:
    async with client.get(path, headers=BEARER) as answer:
        assert answer.status == 200
        return msgspec.json.decode(await answer.read(), type=FleetMap)


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic \u00e9", "Basic /w==", "Bearer secret", "Basic eDp5"]
)
def test_a_header_that_holds_no_key_is_refused(tmp_path: Path, header: str) -> None:
    async def ask(leads: Client, _other: Client, _desk: Desk) -> None:
        async with leads.get("/api?action=get_all_config", headers={"Authorization": header}) as answer:
            assert answer.status == 401

    run(tmp_path, ask)
