"""Servers that run in a thread, on uvloop as real ones do, while a test calls them by blocking clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import uvloop

from drystone.base.errors import UnavailableError

_SECONDS = 120.0


@contextmanager
def serving(serve: Callable[[], AbstractAsyncContextManager[str]], name: str) -> Iterator[str]:
    """What `serve` yields, the URL, while the block runs.

    :raises UnavailableError: it did not begin; the thread's own error is printed.
    """
    ready = threading.Event()
    urls: list[str] = []
    ends: list[Callable[[], object]] = []

    async def run() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        ends.append(lambda: loop.call_soon_threadsafe(ended.set))
        async with serve() as url:
            urls.append(url)
            ready.set()
            await ended.wait()

    def begin() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run())
        finally:
            ready.set()

    thread = threading.Thread(target=begin, name=name)
    thread.start()
    try:
        if not ready.wait(_SECONDS) or not urls:
            raise UnavailableError(f"{name} did not begin")
        yield urls[0]
    finally:
        if thread.is_alive():
            ends[0]()
        thread.join(_SECONDS)
