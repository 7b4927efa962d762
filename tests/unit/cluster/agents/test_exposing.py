"""Metrics over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from drystone.base.errors import DrystoneError, UnavailableError
from drystone.cluster.agents import exposing
from drystone.cluster.agents.exposing import serve_metrics


def ask(measure: Callable[[], bytes], method: str = "GET", path: str = "/metrics") -> httpx.Response:
    async def run() -> httpx.Response:
        async with serve_metrics(measure, "127.0.0.1:0") as url, httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, url.removesuffix("/metrics") + path)

    return asyncio.run(run())


def test_the_text_is_given_to_who_asks() -> None:
    answer = ask(lambda: b"up 1\n")
    assert (answer.status_code, answer.content) == (200, b"up 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(("method", "path"), [("PUT", "/metrics"), ("GET", "/v1/dlvs"), ("PUT", "/v1/dlvs/x")])
def test_nothing_else_is_there(method: str, path: str) -> None:
    assert ask(lambda: b"", method, path).status_code == 404


@pytest.mark.parametrize("error", [UnavailableError("the kernel"), OSError(5, "no")])
def test_a_kernel_that_fails_is_no_answer(error: DrystoneError | OSError) -> None:
    def fail() -> bytes:
        raise error

    assert ask(fail).status_code == 503


def test_a_kernel_that_hangs_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(exposing, "_SECONDS", 0.05)
    go_on = threading.Event()

    def hang() -> bytes:
        go_on.wait(30)
        return b""

    async def run() -> int:
        async with serve_metrics(hang, "127.0.0.1:0") as url, httpx.AsyncClient(trust_env=False) as client:
            status = (await client.get(url)).status_code
            go_on.set()
            return status

    assert asyncio.run(run()) == 503
