"""Who may look at the page, and what a mapper that does not lead answers."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from drystone.base.clock import SystemClock
from drystone.base.errors import UnavailableError
from drystone.fleet.documents import Key
from drystone.fleet.mapping.database import AuditEntry
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.page.board import Board
from drystone.fleet.mapping.page.routes import PageRoutes
from drystone.fleet.mapping.routes import make_application
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.sql import SqlDatabase

PATHS = ("/status", "/status/board", "/status.json", "/status/page.css", "/status/page.js", "/metrics")
GUARDED = PATHS[:-1]

Browser = TestClient[web.Request, web.Application]


def encode(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


class SlowDatabase(SqlDatabase):
    """A database whose audit log takes a while to read."""

    def audit(self, limit: int) -> list[AuditEntry]:
        time.sleep(0.05)
        return super().audit(limit)


class SilentDatabase(SqlDatabase):
    """A database whose audit log cannot be read."""

    def audit(self, limit: int) -> list[AuditEntry]:
        raise UnavailableError(f"{limit} entries: the database does not answer")


def run(
    folder: Path,
    action: Callable[[Browser, Desk], Awaitable[None]],
    *,
    open_to_all: bool = True,
    kept: float = 0.0,
    database: type[SqlDatabase] = SqlDatabase,
) -> None:
    """A mapper that leads, called m1."""

    async def serve() -> None:
        desk = make_desk(folder, "m1", database)
        application = make_application(desk, "secret")
        application.add_routes(PageRoutes(desk, open_to_all=open_to_all, kept=kept).table())
        await desk.open()
        try:
            async with TestClient(TestServer(application)) as client:
                await action(client, desk)
        finally:
            await desk.close()

    asyncio.run(serve())


def make_desk(folder: Path, name: str, kind: type[SqlDatabase] = SqlDatabase) -> Desk:
    database = kind(f"sqlite:///{folder / 'map.db'}")
    return Desk(
        lambda changed: Mapper(database, Rules(), SystemClock(), id=name, url=f"http://{name}", changed=changed)
    )


@pytest.mark.parametrize("path", PATHS)
def test_everybody_may_look_where_it_is_open(tmp_path: Path, path: str) -> None:
    async def look(client: Browser, _desk: Desk) -> None:
        async with client.get(path) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Server"] == "drystone"
            assert await answer.read()

    run(tmp_path, look)


@pytest.mark.parametrize("path", PATHS)
def test_elsewhere_only_administrators(tmp_path: Path, path: str) -> None:
    async def look(client: Browser, desk: Desk) -> None:
        await desk.do(lambda: desk.orders.put_key(Key("ADMIN", "administrators", {"*": "admin"})))
        await desk.do(lambda: desk.orders.put_key(Key("READER", "readers-secret", {"*": "read"})))
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer secret"}, 401),
            (encode("ADMIN:wrong"), 401),
            (encode("READER:readers-secret"), 401),
            (encode("NOBODY:"), 401),
            (encode("ADMIN:administrators"), 200),
        ):
            async with client.get(path, headers=headers) as answer:
                assert answer.status == status, headers
                if status == 401:
                    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
                    assert await answer.text() == "A key with admin on * is needed.\n"

    run(tmp_path, look, open_to_all=False)


def test_the_document_is_the_board(tmp_path: Path) -> None:
    async def look(client: Browser, desk: Desk) -> None:
        async with client.get("/status.json") as answer:
            found = await answer.json()
        assert found.keys() == set(Board.__struct_fields__)
        assert (found["fleet"], found["term"], found["servers"]) == (desk.mapper.model.fleet, desk.mapper.term, [])

    run(tmp_path, look)


@pytest.mark.parametrize("path", GUARDED)
def test_a_mapper_that_does_not_lead_names_the_leader(tmp_path: Path, path: str) -> None:
    async def look(_client: Browser, _desk: Desk) -> None:
        other = make_desk(tmp_path, "m2")
        await other.open()
        application = make_application(other, "secret")
        application.add_routes(PageRoutes(other, open_to_all=False).table())
        try:
            async with TestClient(TestServer(application)) as client:
                async with client.get(path, allow_redirects=False) as answer:
                    assert (answer.status, answer.headers["Location"]) == (307, f"http://m1{path}")
                async with client.get("/metrics") as answer:
                    assert answer.status == 200
                    assert "drystone_mapper_leads 0.0" in await answer.text()
        finally:
            await other.close()

    run(tmp_path, look)


def test_without_a_leader_the_page_tries_again(tmp_path: Path) -> None:
    async def look(client: Browser, desk: Desk) -> None:
        await desk.do(desk.mapper.release)
        async with client.get("/status") as answer:
            assert (answer.status, answer.headers["Refresh"]) == (503, "5")
            assert "No mapper leads" in await answer.text()

    run(tmp_path, look)


def test_when_the_database_does_not_answer_the_page_tries_again(tmp_path: Path) -> None:
    async def look(client: Browser, _desk: Desk) -> None:
        async with client.get("/status") as answer:
            assert (answer.status, answer.headers.get("Refresh")) == (503, "5")

    run(tmp_path, look, database=SilentDatabase)


@pytest.mark.parametrize(("kept", "database"), [(3600.0, SqlDatabase), (0.0, SlowDatabase)])
def test_many_who_look_share_a_board(tmp_path: Path, kept: float, database: type[SqlDatabase]) -> None:
    async def look(client: Browser, _desk: Desk) -> None:
        async def ask() -> bytes:
            async with client.get("/status.json") as answer:
                return await answer.read()

        assert len(set(await asyncio.gather(*(ask() for _ in range(6))))) == 1

    run(tmp_path, look, kept=kept, database=database)


def test_a_board_is_made_anew_once_it_is_old(tmp_path: Path) -> None:
    async def look(client: Browser, _desk: Desk) -> None:
        boards: set[bytes] = set()
        while len(boards) < 3:
            async with client.get("/status.json") as answer:
                boards.add(await answer.read())

    run(tmp_path, look)
