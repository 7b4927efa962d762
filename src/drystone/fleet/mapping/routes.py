"""The mapper's HTTP API below /internal/, as the package's text lists it: from requests to the mapper, and back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from drystone.base.documents import decode
from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    MismatchError,
    NotFoundError,
    RefusedError,
    TimedOutError,
    UnavailableError,
    UsageError,
)
from drystone.fleet import orders
from drystone.fleet.calls import authorize
from drystone.fleet.documents import Allocation, DrillResult, FleetMap, Heartbeat, Key, Report
from drystone.fleet.mapping.database import AuditEntry, NotLeadingError
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.shortage import Shortage
from drystone.fleet.mapping.status import Status, fleet_status
from drystone.wire.problems import CONTENT_TYPE, to_problem

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Document = TypeVar("Document")

_LONGEST_WAIT = 25.0
_BODY_LIMIT = 256 << 20
_STATUSES: tuple[tuple[type[DrystoneError], int], ...] = (
    (UsageError, 400),
    (RefusedError, 403),
    (NotFoundError, 404),
    (ExistsError, 409),
    (MismatchError, 409),
    (ExhaustedError, 409),
    (UnavailableError, 503),
    (BusyError, 503),
    (TimedOutError, 503),
)


def status_for(error: DrystoneError) -> int:
    """The status that goes with an error of ours."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def answer(document: object) -> web.Response:
    """200 with a JSON document."""
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")


def refuse(error: DrystoneError) -> web.Response:
    """The answer that an error stands for."""
    status = status_for(error)
    headers = {"Retry-After": "1"} if status == 503 else {}
    body = msgspec.json.encode(to_problem(error, status=status))
    return web.Response(status=status, body=body, content_type=CONTENT_TYPE, headers=headers)


def make_application(desk: Desk, secret: str) -> web.Application:
    """The application with the routes below /internal/ and /health; others may be added.

    :param secret: the fleet's, that requests below /internal/ must bear.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/internal/") and not authorize(secret, request.headers.get("Authorization", "")):
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        try:
            return await handler(request)
        except NotLeadingError as error:
            if error.url:
                return web.Response(status=307, headers={"Location": error.url + request.path_qs})
            return refuse(UnavailableError("this mapper does not lead, and knows of none that does", hint="try again"))
        except DrystoneError as error:
            return refuse(error)

    application = web.Application(middlewares=[guard], client_max_size=_BODY_LIMIT)
    application.add_routes(Routes(desk).table())
    return application


class Routes:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shortage = Shortage()

    def table(self) -> list[web.RouteDef]:
        """Which path goes where."""
        return [
            web.post("/internal/heartbeat", self.heartbeat),
            web.get("/internal/map", self.map),
            web.post("/internal/allocate", self.allocate),
            web.get("/internal/placements/{id}", self.placement),
            web.delete("/internal/placements/{id}", self.end_host),
            web.post("/internal/remember", self.remember_host),
            web.post("/internal/report", self.report),
            web.post("/internal/buckets", self.make_bucket),
            web.post("/internal/buckets/{name}", self.change_bucket),
            web.delete("/internal/buckets/{name}", self.drop_bucket),
            web.post("/internal/keys", self.put_key),
            web.delete("/internal/keys/{name}", self.drop_key),
            web.post("/internal/disks", self.mark_disk),
            web.post("/internal/lead", self.lead),
            web.post("/internal/rebalance", self.rebalance),
            web.post("/internal/drill", self.drill),
            web.post("/internal/drills", self.take_drill),
            web.post("/internal/recovered", self.end_recovery),
            web.post("/internal/vbuckets", self.make_groups),
            web.get("/internal/status", self.status),
            web.get("/internal/audit", self.audit),
            web.get("/health", self.health),
        ]

    async def heartbeat(self, request: web.Request) -> web.Response:
        document = await _read(request, Heartbeat)
        return answer(await self._desk.do(lambda: self._desk.mapper.heartbeat(document)))

    async def map(self, request: web.Request) -> web.Response:
        newer = _number(request, "newer", -1)
        wait = min(float(_number(request, "wait", 0)), _LONGEST_WAIT)
        news = self._desk.news  # before the look, so that none is missed
        edition = request.query.get("edition", "")
        found = await self._desk.do(lambda: self._find_map(newer, edition))
        if found is None and wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await news.wait()
            found = await self._desk.do(lambda: self._find_map(newer, edition))
        return web.Response(status=204) if found is None else answer(found)

    def _find_map(self, newer: int, edition: str) -> FleetMap | None:
        """None when there is none above a version."""
        mapper = self._desk.mapper
        mapper.check_leads()
        return mapper.map(edition, newer) if mapper.model.version > newer else None

    async def allocate(self, request: web.Request) -> web.Response:
        document = await _read(request, Allocation)
        return answer(await self._desk.do(lambda: self._desk.mapper.allocate(document)))

    async def placement(self, request: web.Request) -> web.Response:
        await self._desk.do(self._desk.mapper.check_leads)
        found = self._desk.mapper.model.placements.get(request.match_info["id"])
        if found is None:
            raise NotFoundError(f"there is no placement {request.match_info['id']}")
        return answer(found)

    async def end_host(self, request: web.Request) -> web.Response:
        await self._desk.do(lambda: self._desk.orders.end_host(request.match_info["id"]))
        return web.Response(status=204)

    async def report(self, request: web.Request) -> web.Response:
        document = await _read(request, Report)
        placement, heard = await self._desk.do(lambda: self._desk.mapper.report(document))
        made = answer(placement)
        made.set_status(200 if heard else 409)
        return made

    async def make_bucket(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.NewBucket)
        return answer(await self._desk.do(lambda: self._desk.orders.make_bucket(document)))

    async def change_bucket(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.BucketChange)
        name = request.match_info["name"]
        return answer(await self._desk.do(lambda: self._desk.orders.change_bucket(name, document)))

    async def drop_bucket(self, request: web.Request) -> web.Response:
        await self._desk.do(lambda: self._desk.orders.drop_bucket(request.match_info["name"]))
        return web.Response(status=204)

    async def put_key(self, request: web.Request) -> web.Response:
        document = await _read(request, Key)
        return answer(await self._desk.do(lambda: self._desk.orders.put_key(document)))

    async def drop_key(self, request: web.Request) -> web.Response:
        await self._desk.do(lambda: self._desk.orders.drop_key(request.match_info["name"]))
        return web.Response(status=204)

    async def mark_disk(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.DiskOrder)
        await self._desk.do(lambda: self._desk.orders.mark_disk(document))
        return web.Response(status=204)

    async def lead(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.LeadOrder)
        return answer(await self._desk.do(lambda: self._desk.orders.lead(document)))

    async def rebalance(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.Moves)
        return answer(await self._desk.do(lambda: self._desk.orders.rebalance(document)))

    async def remember_host(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.RememberOrder)
        return answer(await self._desk.do(lambda: self._desk.orders.remember_host(document)))

    async def drill(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.DrillOrder)
        await self._desk.do(lambda: self._desk.orders.drill(document))
        return web.Response(status=204)

    async def take_drill(self, request: web.Request) -> web.Response:
        document = await _read(request, DrillResult)
        await self._desk.do(lambda: self._desk.mapper.take_drill(document))
        return web.Response(status=204)

    async def end_recovery(self, _request: web.Request) -> web.Response:
        await self._desk.do(lambda: self._desk.mapper.end_recovery("an operator says so"))
        return web.Response(status=204)

    async def make_groups(self, request: web.Request) -> web.Response:
        document = await _read(request, orders.VbucketOrder)
        await self._desk.do(lambda: self._desk.orders.make_groups(document))
        return web.Response(status=204)

    async def status(self, _request: web.Request) -> web.Response:
        return answer(await self._desk.do(self._find_status))

    def _find_status(self) -> Status:
        mapper = self._desk.mapper
        mapper.check_leads()
        return fleet_status(mapper.view(), mapper.waiting, mapper.clock.now())

    async def audit(self, request: web.Request) -> web.Response:
        limit = min(_number(request, "limit", 100), 10_000)
        return answer(await self._desk.do(lambda: self._find_entries(limit)))

    def _find_entries(self, limit: int) -> list[AuditEntry]:
        self._desk.mapper.check_leads()
        return self._desk.mapper.database.audit(limit)

    async def health(self, _request: web.Request) -> web.Response:
        mapper = self._desk.mapper
        short = self._shortage.count(mapper.model)
        return answer({"leads": mapper.leads(), "term": mapper.term, "short": short})


async def _read(request: web.Request, kind: type[Document]) -> Document:
    """The body as a document. :raises UsageError: it is none."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise UsageError(f"the body is above {_BODY_LIMIT} bytes") from error
    return decode(body, kind, "the request")


def _number(request: web.Request, name: str, default: int) -> int:
    """:raises UsageError: the parameter is no number from 0 on."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{name}={text[:40]} is no number")
    return int(text)
