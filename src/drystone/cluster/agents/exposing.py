"""Metrics of an agent or a monitor over plain HTTP, at an address of their own: GET /metrics, for who can reach it.

They are apart from an agent's calls, whose clients may command it: who reads numbers needs no certificate for that.
Names of volumes and hosts are in them, and no secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from drystone.base.errors import DrystoneError
from drystone.wire.exposition import CONTENT_TYPE
from drystone.wire.tcp import SERVER, serve_tcp

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

_SECONDS = 10.0
"""That numbers may take: one who asks is told then that there are none now."""


@asynccontextmanager
async def serve_metrics(measure: Callable[[], bytes], listen: str) -> AsyncIterator[str]:
    """Answer while the block runs; the URL. Raises as `serve_tcp`.

    :param measure: makes the text. One at a time: a kernel that does not answer keeps one thread, and nothing else.
    """
    from aiohttp import web

    threads = ThreadPoolExecutor(1, "metrics")

    async def handle(request: web.BaseRequest) -> web.Response:
        headers = {"Server": SERVER}
        if (request.method, request.path) != ("GET", "/metrics"):
            return web.Response(status=404, text="GET /metrics\n", headers=headers)
        try:
            async with asyncio.timeout(_SECONDS):
                text = await asyncio.get_running_loop().run_in_executor(threads, measure)
        except (DrystoneError, OSError, TimeoutError) as error:
            log.warning("no metrics: %s", error)
            return web.Response(status=503, text="there are no numbers now\n", headers=headers)
        return web.Response(body=text, headers={**headers, "Content-Type": CONTENT_TYPE})

    try:
        async with serve_tcp(handle, listen) as url:
            yield f"{url}/metrics"
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def exposing(measure: Callable[[], bytes], listen: str) -> AsyncIterator[None]:
    """Serve metrics while the block runs, where that is asked for. :param listen: HOST:PORT, "" for nowhere."""
    if not listen:
        yield
        return
    async with serve_metrics(measure, listen) as url:
        log.info("metrics at %s", url)
        yield
