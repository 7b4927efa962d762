"""A body that may have to be sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.repeatable_body import RepeatableBody


class Body:
    """Pieces as they come; an event lets the last one come."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await self.gate.wait()
            yield piece
        if self.error is not None:
            raise self.error

    def trailers(self) -> dict[str, str]:
        return {"crc32": "x"}


async def read(body: RepeatableBody) -> bytes:
    return b"".join([piece async for piece in body])


def test_a_short_body_is_there_again() -> None:
    async def run() -> None:
        body = RepeatableBody(Body(b"ab", b"cd"))
        assert await read(body) == b"abcd"
        assert body.repeatable
        assert await read(body) == b"abcd"
        assert body.trailers() == {"crc32": "x"}

    asyncio.run(run())


def test_a_long_one_is_not() -> None:
    async def run() -> None:
        body = RepeatableBody(Body(bytes(1 << 20), b"x"))
        assert len(await read(body)) == (1 << 20) + 1
        assert not body.repeatable

    asyncio.run(run())


def test_a_reader_that_is_cancelled_takes_nothing_with_it() -> None:
    async def run() -> None:
        inner = Body(b"ab", b"cd")
        body = RepeatableBody(inner)
        pieces = aiter(body)
        assert await anext(pieces) == b"ab"
        inner.gate.clear()
        waiting = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        inner.gate.set()
        assert await read(body) == b"abcd"
        await body.close()

    asyncio.run(run())


def test_a_piece_that_came_after_its_reader_was_cancelled_comes_once() -> None:
    async def run() -> None:
        inner = Body(b"ab", b"cd")
        inner.gate.clear()
        body = RepeatableBody(inner)
        waiting = asyncio.ensure_future(anext(aiter(body)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        inner.gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert await read(body) == b"abcd"

    asyncio.run(run())


def test_the_failure_of_the_body_itself_is_kept() -> None:
    async def run() -> None:
        body = RepeatableBody(Body(b"ab", error=S3Error(Code.IncompleteBody)))
        with pytest.raises(S3Error):
            await read(body)
        assert isinstance(body.failure, S3Error)
        assert not body.repeatable

    asyncio.run(run())
