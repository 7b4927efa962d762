"""Errors of handlers become answers, whatever they are; a defect ends one request and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from litestar import get, post

from drystone.base.errors import BusyError, NotFoundError
from drystone.wire.application import AnyRequest, make_application, request_id_of

FAILURES: dict[str, Exception] = {
    "busy": BusyError("it is in use", hint="wait", holder="x"),
    "none": NotFoundError("there is none"),
    "machine": OSError(28, "No space left on device", "/srv"),
    "defect": ZeroDivisionError("division"),
}


@get("/fail")
async def fail(request: AnyRequest) -> None:
    raise FAILURES[request.query_params["what"]]


@post("/echo", status_code=200)
async def echo(request: AnyRequest) -> dict[str, str]:
    return {"id": request_id_of(request), "body": (await request.body()).decode()}


def ask(method: str, route: str, **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        application = make_application([fail, echo], body_limit=100)
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.request(method, route, **options)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("what", "status", "code", "detail"),
    [
        ("busy", 400, "busy", "it is in use"),
        ("none", 404, "not-found", "there is none"),
        ("machine", 400, "failed", "/srv: No space left on device"),
        ("defect", 500, "internal", "ZeroDivisionError: division"),
    ],
)
def test_failures(what: str, status: int, code: str, detail: str) -> None:
    problem = ask("GET", f"/fail?what={what}", headers={"Accept": "application/json"})
    assert (problem.status_code, problem.headers["content-type"]) == (status, "application/problem+json")
    assert (problem.json()["code"], problem.json()["detail"]) == (code, detail)
    plain = ask("GET", f"/fail?what={what}")
    assert plain.text.startswith(detail)
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"


def test_what_the_router_refuses() -> None:
    assert ask("GET", "/nowhere").text == "there is no route GET /nowhere\n"
    assert ask("GET", "/echo").status_code == 405


def test_the_request_id_goes_through() -> None:
    answer = ask("POST", "/echo", content=b"hello", headers={"X-Request-Id": "mine"})
    assert answer.json() == {"id": "mine", "body": "hello"}
    assert answer.headers["x-request-id"] == "mine"
    assert ask("POST", "/echo", content=b"x" * 101).status_code == 413
