"""A put's body that may have to be sent twice: to a leader that went away, and to the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from drystone.fleet.objects import ByteSource

_KEPT = 1 << 20
"""Bytes of a body that are kept, so that a put can be sent to the next leader."""


class RepeatableBody:
    """A body that can be begun anew while no more than _KEPT bytes of it were read.

    A reader that is cancelled takes nothing with it: what it waited for is there for the next one.

    :ivar failure: of the body itself: it broke off, or was not what its sender said.
    """

    def __init__(self, body: ByteSource) -> None:
        self._body = body
        self._rest = body.__aiter__()
        self._kept: list[bytes] | None = []
        self._size = 0
        self._coming: asyncio.Task[bytes | None] | None = None
        self.failure: Exception | None = None

    @property
    def repeatable(self) -> bool:
        """Whether iterating gives all of it again."""
        return self._kept is not None and self.failure is None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = 0
        while True:
            if self._kept is not None:
                if at < len(self._kept):
                    at += 1
                    yield self._kept[at - 1]
                    continue
                if self._size > _KEPT:
                    self._kept = None
            if self._coming is None:
                self._coming = asyncio.create_task(self._read())
            coming = self._coming
            following = await asyncio.shield(coming)
            if self._coming is coming:
                self._coming = None
            if following is None:
                return
            if self._kept is None:
                yield following

    async def _read(self) -> bytes | None:
        """The next piece; kept, while all are."""
        try:
            piece = await anext(self._rest, None)
        except Exception as error:
            self.failure = error
            raise
        if piece is not None and self._kept is not None:
            self._size += len(piece)
            self._kept.append(piece)
        return piece

    def trailers(self) -> dict[str, str]:
        return self._body.trailers()

    async def close(self) -> None:
        """End what still reads."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait({self._coming})
            self._coming = None
