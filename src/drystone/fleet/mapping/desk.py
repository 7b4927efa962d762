"""The mapper and its orders behind one thread: requests are taken one at a time, and a slow database stops no other
work of the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.orders import Orders

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TICK_SECONDS = 0.5
_ANSWER_SECONDS = 4.0
"""A request that waits longer is answered 503: whoever asked has given up by then."""


class Desk:
    """Where a process's requests to its mapper go.

    :param make: the mapper, given what it is to call after each commit. :ivar news: set at the next commit; then
        another takes its place.
    """

    def __init__(self, make: Callable[[Callable[[], None]], Mapper]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mapper")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.news = asyncio.Event()
        self._ended = False
        self.mapper = make(self._tell)
        self.orders = Orders(self.mapper)

    def _tell(self) -> None:
        """Called in the mapper's thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    async def do(self, action: Callable[[], Result]) -> Result:
        """What `action` returns, run in the mapper's thread.

        :raises TimedOutError: the database keeps it waiting; whether it is done is not known.
        :raises UnavailableError: the mapper ends.
        """
        if self._ended:
            raise UnavailableError("this mapper ends", hint="try again")
        future = asyncio.get_running_loop().run_in_executor(self._thread, action)
        done, _ = await asyncio.wait({future}, timeout=_ANSWER_SECONDS)
        if not done:
            future.cancel()
            raise TimedOutError("the mapper's database is slow", hint="try again")
        return future.result()

    async def open(self) -> None:
        """Open the database and take the lease, if it is free. :raises DrystoneError: it cannot be opened."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._thread, self.mapper.database.open)
        await self._loop.run_in_executor(self._thread, self._tick)

    async def run(self) -> None:
        """Take the mapper's own steps for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await loop.run_in_executor(self._thread, self._tick)

    def _tick(self) -> None:
        try:
            self.mapper.tick()
        except (DrystoneError, NotLeadingError) as error:
            log.warning("%s", error)

    async def close(self) -> None:
        """Give the lease back and close the database, when what is under way has ended. Who waits for news waits no
        more."""
        assert self._loop is not None, "opened"
        if self._ended:
            return
        self._ended = True
        self.news.set()
        await self._loop.run_in_executor(self._thread, self._end)
        self._thread.shutdown(wait=False)

    def _end(self) -> None:
        try:
            self.mapper.release()
        except DrystoneError as error:
            log.warning("the lease was not given back: %s", error)
        self.mapper.database.close()
