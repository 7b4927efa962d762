"""The page's HTTP: who may look, and what a mapper that does not lead answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.fleet.basic import CHALLENGE, is_administrator, parse_basic
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.page.board import Board, make_board, note_copies
from drystone.fleet.mapping.page.look import Look
from drystone.fleet.mapping.page.metrics import render
from drystone.fleet.mapping.page.pace import Pace
from drystone.fleet.mapping.status import fleet_status
from drystone.wire.exposition import CONTENT_TYPE
from drystone.wire.page.templates import page_headers
from drystone.wire.tcp import SERVER

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.Response]]

_AUDIT_LINES = 20
_SAMPLE_SECONDS = 5.0
_PAUSES = 9.0
"""Between two boards: so many times what one took."""
_HEADERS = {**page_headers(has_forms=False), "Server": SERVER}


class PageRoutes:
    """The handlers.

    :param open_to_all: whether no key is needed. :param kept: seconds for which a board is given again: many may look
        at a time, and the mapper has other work. A board that took long is given again for longer, so that pages have a
        tenth of the mapper's time at most.
    """

    def __init__(self, desk: Desk, *, open_to_all: bool, kept: float = 2.0) -> None:
        self._desk = desk
        self._open = open_to_all
        self._look = Look()
        self._pace = Pace()
        self._board: Board | None = None
        self._until = 0.0
        self._kept = kept
        self._making = asyncio.Lock()

    def table(self) -> list[web.RouteDef]:
        """Which path goes where."""
        return [
            web.get("/status", self._guarded(self.page)),
            web.get("/status/board", self._guarded(self.board)),
            web.get("/status.json", self._guarded(self.document)),
            web.get("/status/page.css", self._guarded(self.style)),
            web.get("/status/page.js", self._guarded(self.script)),
            web.get("/metrics", self.metrics),
        ]

    async def run(self) -> None:
        """Look at the copies under way from time to time, for ever: so that their pace is known when somebody asks."""
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            if self._desk.mapper.leads():
                try:
                    await self._desk.do(lambda: note_copies(self._desk.mapper.view(), self._pace))
                except DrystoneError as error:
                    log.info("copies under way were not looked at: %s", error)

    def _guarded(self, handler: Handler) -> Handler:
        """Answered by the mapper that leads, to those who may look."""

        async def handle(request: web.Request) -> web.Response:
            try:
                await self._desk.do(self._desk.mapper.check_leads)
                return await handler(request) if self._may(request) else _challenge()
            except (NotLeadingError, UnavailableError, TimedOutError) as error:
                if isinstance(error, NotLeadingError) and error.url:
                    return web.Response(status=307, headers={**_HEADERS, "Location": error.url + request.path_qs})
                text = await asyncio.to_thread(self._look.headless)
                return _answer(text, "text/html", status=503, headers={"Retry-After": "2", "Refresh": "5"})

        return handle

    def _may(self, request: web.Request) -> bool:
        access, secret = parse_basic(request.headers.get("Authorization", ""))
        return self._open or is_administrator(self._desk.mapper.model.keys.get(access), secret)

    async def _find_board(self) -> Board:
        """The board as it is now, or was a moment ago. :raises NotLeadingError: another mapper leads."""
        async with self._making:
            now = asyncio.get_running_loop().time()
            if self._board is None or now >= self._until:
                board, took = await self._desk.do(self._make_board)
                self._board = board
                self._until = asyncio.get_running_loop().time() + max(self._kept, took * _PAUSES)
            return self._board

    def _make_board(self) -> tuple[Board, float]:
        """The board, and how many seconds it took. In the mapper's thread."""
        began = time.perf_counter()
        mapper = self._desk.mapper
        mapper.check_leads()
        view, now = mapper.view(), mapper.clock.now()
        note_copies(view, self._pace)
        status = fleet_status(view, mapper.waiting, now)
        audit = mapper.database.audit(_AUDIT_LINES)
        board = make_board(view, status, self._pace, audit, term=mapper.term, at=now.timestamp())
        return board, time.perf_counter() - began

    async def page(self, _request: web.Request) -> web.Response:
        board = await self._find_board()
        return _answer(await asyncio.to_thread(self._look.page, board), "text/html")

    async def board(self, _request: web.Request) -> web.Response:
        board = await self._find_board()
        return _answer(await asyncio.to_thread(self._look.board, board), "text/html")

    async def document(self, _request: web.Request) -> web.Response:
        return _answer(msgspec.json.encode(await self._find_board()).decode(), "application/json")

    async def style(self, _request: web.Request) -> web.Response:
        return _answer(await asyncio.to_thread(lambda: self._look.style), "text/css")

    async def script(self, _request: web.Request) -> web.Response:
        return _answer(await asyncio.to_thread(lambda: self._look.script), "text/javascript")

    async def metrics(self, request: web.Request) -> web.Response:
        """At a mapper that does not lead: that it does not, which /health tells everybody too."""
        try:
            await self._desk.do(self._desk.mapper.check_leads)
            if not self._may(request):
                return _challenge()
            board = await self._find_board()
            text = await asyncio.to_thread(render, board.term, board)
        except NotLeadingError:
            text = render(0, None)
        return web.Response(body=text, headers={**_HEADERS, "Content-Type": CONTENT_TYPE})


def _answer(text: str, kind: str, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    made = web.Response(text=text, content_type=kind, status=status, headers={**_HEADERS, **(headers or {})})
    made.enable_compression()
    return made


def _challenge() -> web.Response:
    return _answer(
        "A key with admin on * is needed.\n", "text/plain", status=401, headers={"WWW-Authenticate": CHALLENGE}
    )
