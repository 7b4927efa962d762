"""The page's HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from litestar import Response, Router, get, post
from sqlalchemy import Connection

from drystone.base.errors import DrystoneError, RefusedError, UsageError
from drystone.base.names import new_uuid
from drystone.cluster.api.application import PUBLIC
from drystone.cluster.api.desk import Desk, Named, known
from drystone.cluster.api.documents import Preview
from drystone.cluster.api.page.board import DlvCard
from drystone.cluster.api.page.deed import Deed, Told, Values, subject_of
from drystone.cluster.api.page.deeds import find_deed
from drystone.cluster.api.page.keeping import Kept
from drystone.cluster.api.page.reading import read_board, read_card
from drystone.cluster.api.page.sessions import find_caller, forget_token, keep_token, read_form
from drystone.cluster.api.tokens import Caller, Tokens
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.cluster.statuses import status_of
from drystone.wire.application import AnyRequest
from drystone.wire.page.templates import Templates, page_headers

log = logging.getLogger(__name__)

Handle = Callable[[AnyRequest, Caller], Awaitable[Response[str]]]

_HEADERS = page_headers(has_forms=True)
_OPTIONS = {PUBLIC: True}
"""Of all routes here: strangers are asked for a token by the page itself."""


class Page:
    """What the routes share."""

    def __init__(self, desk: Desk, tokens: Tokens, kept: float) -> None:
        self.desk = desk
        self.tokens = tokens
        self.templates = Templates(Path(__file__).with_name("files"))
        self._board = Kept(lambda: desk.read(read_board), kept)

    async def render(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> Response[str]:
        """A page."""
        text = await asyncio.to_thread(self.templates.render, template, status=status, **values)
        return answer(text, "text/html", status, headers)

    async def serve(self, request: AnyRequest, handle: Handle, *, changes: bool = False) -> Response[str]:
        """Let `handle` answer, for who has signed in; errors are pages too.

        :param changes: viewers are refused.
        """
        caller = find_caller(request, self.tokens)
        if caller is None:
            if request.method != "GET" or request.url.path.endswith("board"):
                return answer("Sign in first.\n", "text/plain", 401)
            return await self.render("sign-in.html", error="")
        request.scope["state"]["caller"] = caller.name
        try:
            if changes and caller.role != "operator":
                raise RefusedError(f"{caller.name} is a viewer, who may look only", hint="sign in as an operator")
            return await handle(request, caller)
        except DrystoneError as error:
            return await self.fail(error, caller)

    async def fail(self, error: DrystoneError, caller: Caller | None) -> Response[str]:
        """An error as a page."""
        log.info("%s", error)
        status = 403 if isinstance(error, RefusedError) and caller is not None else status_of(error)
        return await self.render("error.html", status, who=caller, error=error)

    async def look(self, template: str, caller: Caller) -> Response[str]:
        """The overview, or the part of it that changes."""
        board = await self._board.get()
        return await self.render(template, who=caller, board=board)

    async def look_at(self, template: str, name: str, caller: Caller) -> Response[str]:
        """One volume."""
        card, events = await self.desk.read(lambda connection: read_card(connection, known(name, "dlv")))
        return await self.render(template, who=caller, card=card, events=events)

    async def ask(self, request: AnyRequest, caller: Caller, slug: str) -> Response[str]:
        """The form of a deed; or, when it was filled in, what that would do."""
        deed = find_deed(slug)
        values = dict(request.query_params.dict())
        given = {"of": "", **{name: str(each[-1]) for name, each in values.items()}}
        fields = await self.desk.read(deed.fields)
        is_whole = all(each.hidden for each in fields) or given.pop("sure", "") == "0"
        common: dict[str, Any] = {"who": caller, "deed": deed, "fields": fields, "values": given}
        if not is_whole:
            return await self.render("form.html", **common, error=None)
        try:
            events, card, calls = await self.preview(request, deed, given)
        except DrystoneError as error:
            return await self.render("form.html", status_of(error), **common, error=error)
        return await self.render("preview.html", **common, events=events, card=card, calls=calls, key=new_uuid())

    async def preview(
        self, request: AnyRequest, deed: Deed, values: Values
    ) -> tuple[list[dict[str, str]], DlvCard | None, Preview | Told | None]:
        """What a deed would tell, the volume as it would be then, and what follows: nothing is changed."""
        act, name = deed.act(values), subject_of(deed, values)

        def do(work: Work) -> tuple[DlvCard | None, Preview | Told | None]:
            calls = deed.preview(work.connection, values) if deed.preview is not None else None
            act(work)
            is_there = bool(name) and bool(rows.find_dlvs(work.connection, [name]))
            return (read_card(work.connection, name)[0] if is_there else None), calls

        (card, calls), events = await self.desk.rehearse(request, do)
        return events, card, calls

    async def do(self, request: AnyRequest, slug: str) -> Response[str]:
        """Do a deed, once for each key, and show what became of it."""
        deed = find_deed(slug)
        values = await read_form(request)
        key = values.pop("key", "")
        if not 1 <= len(key) <= 100 or not key.isascii() or not key.isprintable():
            raise UsageError("the form has no key", hint="go to the overview and begin anew")
        await self.desk.settle(request, key, values, deed.act(values))
        self._board.forget()
        name = subject_of(deed, values)
        is_there = bool(name) and await self.desk.read(lambda connection: _is_there(connection, name))
        return answer("", "text/plain", 303, {"Location": f"/dlvs/{name}" if is_there else "/"})


def answer(text: str, kind: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[str]:
    """An answer with the headers of all pages."""
    return Response(
        text, status_code=status, media_type=f"{kind}; charset=utf-8", headers={**_HEADERS, **(headers or {})}
    )


def _is_there(connection: Connection, name: str) -> bool:
    return bool(rows.find_dlvs(connection, [name]))


def make_page(desk: Desk, tokens: Tokens, kept: float) -> Router:
    """The routes of the page. :param kept: seconds for which the overview is given again."""
    page = Page(desk, tokens, kept)
    return Router("/", route_handlers=[*_looks(page), *_sessions(page), *_changes(page)], opt=_OPTIONS)


def _looks(page: Page) -> list[Any]:
    @get("/", include_in_schema=False)
    async def whole(request: AnyRequest) -> Response[str]:
        return await page.serve(request, lambda _, caller: page.look("page.html", caller))

    @get("/board", include_in_schema=False)
    async def board(request: AnyRequest) -> Response[str]:
        return await page.serve(request, lambda _, caller: page.look("board.html", caller))

    @get("/dlvs/{name:str}", include_in_schema=False)
    async def dlv(request: AnyRequest, name: Named) -> Response[str]:
        return await page.serve(request, lambda _, caller: page.look_at("dlv.html", name, caller))

    @get("/dlvs/{name:str}/board", include_in_schema=False)
    async def dlv_board(request: AnyRequest, name: Named) -> Response[str]:
        return await page.serve(request, lambda _, caller: page.look_at("dlv-board.html", name, caller))

    @get("/page.css", include_in_schema=False)
    async def style() -> Response[str]:
        return answer(await asyncio.to_thread(lambda: page.templates.style), "text/css")

    @get("/page.js", include_in_schema=False)
    async def script() -> Response[str]:
        return answer(await asyncio.to_thread(lambda: page.templates.script), "text/javascript")

    return [whole, board, dlv, dlv_board, style, script]


def _sessions(page: Page) -> list[Any]:
    @post("/sign-in", include_in_schema=False)
    async def sign_in(request: AnyRequest) -> Response[str]:
        try:
            token = (await read_form(request)).get("token", "").strip()
        except DrystoneError as error:
            return await page.fail(error, None)
        caller = page.tokens.find(f"Bearer {token}")
        if caller is None or caller.role == "agent":
            return await page.render("sign-in.html", 401, error="No operator or viewer has this token.")
        return answer("", "text/plain", 303, {"Location": "/", **keep_token(request, token)})

    @post("/sign-out", include_in_schema=False)
    async def sign_out(request: AnyRequest) -> Response[str]:
        try:
            await read_form(request)
        except DrystoneError as error:
            return await page.fail(error, None)
        return answer("", "text/plain", 303, {"Location": "/", **forget_token()})

    return [sign_in, sign_out]


def _changes(page: Page) -> list[Any]:
    @get("/do/{slug:str}", include_in_schema=False)
    async def form(request: AnyRequest, slug: Named) -> Response[str]:
        return await page.serve(request, lambda _, caller: page.ask(request, caller, slug), changes=True)

    @post("/do/{slug:str}", include_in_schema=False)
    async def done(request: AnyRequest, slug: Named) -> Response[str]:
        return await page.serve(request, lambda _, __: page.do(request, slug), changes=True)

    return [form, done]
