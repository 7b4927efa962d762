"""From the leader to another member: a body while it comes, then what to do with it. Nothing waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.fleet.calls import Answer, Calls
from drystone.fleet.documents import Member, Placement
from drystone.fleet.storage.failures import ElsewhereError, decode_failure
from drystone.fleet.storage.frames import frame_data, frame_document
from drystone.fleet.storage.members import Begin, Done, Order

PATH = "/internal/members/change"
STILL_SECONDS = 5.0
"""A member that takes nothing of a body for so long is not waited for."""
ANSWER_SECONDS = 10.0
"""How long a member may take to make a change durable."""
_WAITING = 4
"""Pieces of a body that may wait for a slow member."""
_AT_ONCE = 256 << 10
"""Bytes: a body up to here is sent with its order, in one piece; so it can be sent again when a connection broke."""


class MemberLink:
    """One change on its way to one member.

    :param url: of the member's server. :param placement: as the leader knows it. :param size: bytes of the body where
        known; :param body: False for a change without bytes.
    """

    def __init__(
        self, calls: Calls, url: str, placement: Placement, member: Member, *, size: int | None, body: bool = True
    ) -> None:
        self.member = member
        self.failure: Exception | None = None
        self._calls = calls
        self._url = url
        self._begin = Begin(placement, size, body)
        self._queue: asyncio.Queue[bytes | memoryview | None] = asyncio.Queue(_WAITING)
        self._order: Order | None = None
        self._task: asyncio.Task[Done] | None = None
        self._held: list[bytes | memoryview] = []
        self._size = 0
        self.repeated = False
        """Whether it was sent a second time: then the first may still come."""

    def start(self) -> None:
        """Begin to send, before the order is known."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def send(self, data: bytes | memoryview) -> None:
        """Send a piece; it must stay as it is until the change has ended. A failure shows in `failure` and `finish`."""
        self._size += len(data)
        if self._size <= _AT_ONCE:
            self._held.append(data)
            return
        waiting, self._held = [*self._held, data], []
        for each in waiting:
            await self._stream(each)

    async def _stream(self, data: bytes | memoryview) -> None:
        if self.failure is not None:
            return
        self.start()
        assert self._task is not None
        if self._task.done():
            self._note()
            return
        if not self._queue.full():
            self._queue.put_nowait(data)
            return
        put = asyncio.create_task(self._queue.put(data))
        try:
            await asyncio.wait({put, self._task}, timeout=STILL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            taken = put.done()
            put.cancel()
        if self._task.done():
            self._note()
        elif not taken:
            await self._fail(TimedOutError(f"{self._url} took nothing for {STILL_SECONDS:g} s"))

    def _note(self) -> None:
        """Take over how the task failed."""
        assert self._task is not None
        if self.failure is None:
            ended = None if self._task.cancelled() else self._task.exception()
            self.failure = ended if isinstance(ended, Exception) else UnavailableError(f"{self._url} broke off")

    async def _fail(self, failure: Exception) -> None:
        self.failure = failure
        await self.close()

    async def finish(self, order: Order) -> Done:
        """Tell what to do; the answer comes when it is durable there.

        :raises ElsewhereError: a newer epoch is known there. :raises DrystoneError: anything else that failed.
        """
        if self._task is None and self.failure is None:
            return await self._send_at_once(order)
        assert self._task is not None
        if self.failure is None:
            self._order = order
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if not self._task.done():
                        await self._queue.put(None)
                    return await asyncio.shield(self._task)
            except TimeoutError:
                await self._fail(TimedOutError(f"{self._url} did not answer in {ANSWER_SECONDS:g} s"))
            except (DrystoneError, ElsewhereError) as error:
                self.failure = error
        assert self.failure is not None
        raise self.failure

    async def close(self) -> None:
        """End it, whatever state it is in. What was not ordered is undone there."""
        task = self._task
        if task is None:
            return
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DrystoneError, ElsewhereError):
                await asyncio.wait({task}, timeout=STILL_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that it is no surprise to the loop

    async def _send_at_once(self, order: Order) -> Done:
        parts: list[bytes | memoryview] = [frame_document(msgspec.json.encode(self._begin))]
        for piece in self._held:
            parts += (frame_data(piece), piece)
        parts.append(frame_document(msgspec.json.encode(order)))
        body = b"".join(parts)
        try:
            answer = await self._calls.call("POST", self._url + PATH, body, seconds=ANSWER_SECONDS)
        except UnavailableError:
            # A kept connection may have been closed just now.
            self.repeated = True
            answer = await self._calls.call("POST", self._url + PATH, body, seconds=ANSWER_SECONDS)
        return _read_answer(answer)

    async def _run(self) -> Done:
        async def frames() -> AsyncIterator[bytes | memoryview]:
            yield frame_document(msgspec.json.encode(self._begin))
            while (piece := await self._queue.get()) is not None:
                yield frame_data(piece)
                yield piece
            yield frame_document(msgspec.json.encode(self._order))

        async with self._calls.open(
            "POST", self._url + PATH, body=frames(), seconds=None, still_seconds=ANSWER_SECONDS
        ) as stream:
            answer = await stream.read()
        return _read_answer(answer)


def _read_answer(answer: Answer) -> Done:
    if answer.status != 200:
        failure = decode_failure(answer)
        raise failure if isinstance(failure, ElsewhereError | DrystoneError) else DrystoneError(str(failure))
    return answer.document(Done)
