"""A body on its way: to a temporary file of the leader's and, at the same time, to every other member."""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.objects import ByteSource, PutOptions
from drystone.fleet.s3.checksums import Sums
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.links import MemberLink
from drystone.fleet.storage.standing import Standing

BLOCK = 1 << 20
"""Bytes that are written and summed at a time."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came. :ivar size: bytes. :ivar md5: hex. :ivar digest: as ObjectInfo.digest. :ivar checksums: to keep."""

    size: int
    md5: str
    digest: str
    checksums: dict[str, str]


class Staging:
    """A body that is written and sent as it comes. Nothing is durable until a change takes it.

    :param links: to the other members. :param options: what the client said of the body.
    :ivar taken: a change was made with it; there is nothing left to remove.
    """

    def __init__(self, standing: Standing, links: list[MemberLink], options: PutOptions) -> None:
        self.standing = standing
        self.links = links
        self.incoming: Incoming | None = None
        self._disk = standing.disk
        self._options = options
        self._sums = Sums(options, md5=False)
        self._summed = bool(options.checksums or options.sha256)
        self._writing: asyncio.Future[None] | None = None
        self.taken = False
        self._lock = threading.Lock()
        self._ended = False

    async def take(self, body: ByteSource) -> Received:
        """All of the body.

        :raises S3Error: it is not what the client said: IncompleteBody, BadDigest, ... :raises ExhaustedError: no room.
        """
        last = b""
        async for block in gather_blocks(body):
            if last:
                await self._write(last)
            last = block
        await self._settle()
        received = await self.standing.bay.run(self._finish, last, body.trailers())
        if last:
            await self._send(last)
        return received

    async def _write(self, block: bytes) -> None:
        """Write one block while the one after it comes."""
        await self._settle()
        self._writing = asyncio.ensure_future(self._write_everywhere(block))

    async def _settle(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _write_everywhere(self, block: bytes) -> None:
        steps = [self.standing.bay.run(self._write_here, block), self._send(block)]
        if self._summed:
            steps.append(asyncio.to_thread(self._sums.update, block))
        await asyncio.gather(*steps)

    async def _send(self, block: bytes) -> None:
        for link in self.links:
            await link.send(block)

    def _write_here(self, block: bytes) -> None:
        """In a thread of the disk."""
        with self._lock:
            if self._ended:
                return
            if self.incoming is None:
                self.incoming = self._disk.receive(md5=True, size=self._options.size)
            self.incoming.write(block)

    def _finish(self, last: bytes, trailers: dict[str, str]) -> Received:
        """In a thread of the disk: the last block (the only one of a small body), and all sums."""
        self._write_here(last)
        assert self.incoming is not None
        sums = self.incoming.finish()
        if self._summed:
            self._sums.update(last)
        self._sums.size = sums.size
        kept = self._sums.finish(trailers)
        if self._options.md5 and not hmac.compare_digest(sums.md5, self._options.md5):
            raise S3Error(Code.BadDigest, "Content-MD5 differs from that of the bytes that came.")
        return Received(sums.size, sums.md5, sums.digest, kept)

    async def close(self) -> None:
        """Remove what no change took."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
            if not self._writing.cancelled():
                self._writing.exception()
            self._writing = None
        if not self.taken:
            await self.standing.bay.run(self._abandon)
        for link in self.links:
            await link.close()

    def _abandon(self) -> None:
        with self._lock:  # a write that nobody waits for any more may be under way
            self._ended = True
            if self.incoming is not None:
                self.incoming.abandon()


async def gather_blocks(body: ByteSource) -> AsyncIterator[bytes]:
    """The body in blocks of about BLOCK bytes, the last one shorter; none when it is empty."""
    parts: list[bytes] = []
    size = 0
    async for piece in body:
        parts.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield parts[0] if len(parts) == 1 else b"".join(parts)
            parts, size = [], 0
    if parts:
        yield parts[0] if len(parts) == 1 else b"".join(parts)
