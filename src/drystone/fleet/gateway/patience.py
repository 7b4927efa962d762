"""Answers that take long: the status comes early, then a space now and then, so that nobody takes it for a hang.

S3 does so for copies and completions ("200 OK" may still carry an error in its body); its clients know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from drystone.fleet.gateway.messages import Response

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'


async def answer_patiently(work: Coroutine[Any, Any, Response], seconds: float) -> Response:
    """The response of `work`; when it takes longer than `seconds`, one with status 200 whose body waits for it.

    Cancelled, or left before the end of that body, it cancels `work`.

    :param work: raises nothing, and gives a document that begins with the usual declaration.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _cancel(task)
        raise
    if task.done():
        return task.result()
    return Response(200, {"content-type": "application/xml"}, _wait(task, seconds))


async def _cancel(task: asyncio.Task[Response]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _wait(task: asyncio.Task[Response], seconds: float) -> AsyncIterator[bytes]:
    try:
        yield _DECLARATION
        while not task.done():
            await asyncio.wait({task}, timeout=seconds)
            if not task.done():
                yield b" "
        body = task.result().body
        assert isinstance(body, bytes)
        yield body.removeprefix(_DECLARATION)
    finally:
        await _cancel(task)
