"""The body of a request as it is stored: decoded, its chunks' signatures and its length checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from drystone.fleet.objects import PutOptions
from drystone.fleet.s3.checksums import Sums
from drystone.fleet.s3.chunked import ChunkDecoder
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.fields import read_checksums, read_md5
from drystone.fleet.s3.payload import Payload
from drystone.fleet.s3.signing import Chain

_THREAD_BYTES = 64 * 1024
"""Signed chunks of this size or more are hashed in a thread, so that they keep nobody waiting."""


class Body:
    """A `ByteSource` over what comes from the network.

    :param pieces: as `Request.body`. :param payload: how it is coded. :param chain: of its chunks' signatures, where
        they have any.
    """

    def __init__(self, pieces: AsyncIterator[bytes], payload: Payload, chain: Chain | None) -> None:
        self._pieces = pieces
        self._payload = payload
        self._chain = chain
        self._trailers: dict[str, str] = {}

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._decode() if self._payload.chunked else self._count()

    def trailers(self) -> dict[str, str]:
        return dict(self._trailers)

    async def _count(self) -> AsyncIterator[bytes]:
        size, came = self._payload.size, 0
        async for data in self._pieces:
            came += len(data)
            if size is not None and came > size:
                raise S3Error(Code.IncompleteBody, "The body is longer than Content-Length says.")
            yield data
        if size is not None and came != size:
            raise S3Error(Code.IncompleteBody)

    async def _decode(self) -> AsyncIterator[bytes]:
        payload = self._payload
        decoder = ChunkDecoder(payload.size or 0, self._chain if payload.signed else None, payload.trailers)
        async for data in self._pieces:
            if payload.signed and len(data) >= _THREAD_BYTES:
                decoded = await asyncio.to_thread(list, decoder.feed(data))
            else:
                decoded = list(decoder.feed(data))
            for piece in decoded:
                yield bytes(piece)
        decoder.finish()
        self._trailers = decoder.trailers


class CopiedBody:
    """A `ByteSource` over what is read from another object. :param pieces: of `Objects.read`."""

    def __init__(self, pieces: AsyncIterator[bytes | memoryview]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            yield bytes(piece)

    def trailers(self) -> dict[str, str]:
        return {}


async def read_document(
    body: Body, payload: Payload, headers: Mapping[str, str], limit: int, *, checksums: bool
) -> bytes:
    """A short body as a whole, checked.

    :param limit: bytes. :param checksums: whether x-amz-checksum-* headers are about this body.
    :raises S3Error: MaxMessageLengthExceeded, BadDigest, IncompleteBody, a wrong signature.
    """
    if payload.size is not None and payload.size > limit:
        raise S3Error(Code.MaxMessageLengthExceeded)
    options = PutOptions(
        size=payload.size,
        md5=read_md5(headers),
        sha256=payload.sha256,
        checksums=read_checksums(headers if checksums else {}, payload.trailers),
    )
    sums, data = Sums(options), bytearray()
    async for piece in body:
        data += piece
        if len(data) > limit:
            raise S3Error(Code.MaxMessageLengthExceeded)
        sums.update(piece)
    sums.finish(body.trailers())
    return bytes(data)
