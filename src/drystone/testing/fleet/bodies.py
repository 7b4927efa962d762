"""Bodies for tests of `Objects`, and the few actions that such tests are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

from blake3 import blake3

from drystone.fleet.gateway.catalog import Catalog
from drystone.fleet.objects import ObjectInfo, Objects, PutOptions
from drystone.fleet.s3.errors import Code, S3Error

PIECE = 1 << 20
"""Bytes that have a checksum of their own."""


class BytesBody:
    """A `ByteSource` of bytes. :param error: raised at the end. :param trailers: known after the end."""

    def __init__(
        self, data: bytes, *, error: S3Error | None = None, trailers: dict[str, str] | None = None, piece: int = 100_000
    ) -> None:
        self._data = data
        self._error = error
        self._trailers = trailers or {}
        self._piece = piece
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._data), self._piece):
            await asyncio.sleep(0)
            yield self._data[at : at + self._piece]
        if self._error is not None:
            raise self._error
        self._ended = True

    def trailers(self) -> dict[str, str]:
        return self._trailers if self._ended else {}


def make_bytes(size: int, seed: int = 1) -> bytes:
    """Bytes that do not repeat, the same for each (size, seed)."""
    return blake3(seed.to_bytes(4, "little")).digest(length=size)


def digest_of(data: bytes) -> str:
    """What ObjectInfo.digest is for these bytes."""
    return blake3(b"".join(blake3(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE))).hexdigest()


async def put(
    objects: Objects, bucket: str, key: str, data: bytes = b"data", options: PutOptions | None = None
) -> ObjectInfo:
    """Put `data`, with its length."""
    return await objects.put(bucket, key, BytesBody(data), options or PutOptions(size=len(data)))


async def read(objects: Objects, bucket: str, info: ObjectInfo, begin: int = 0, end: int | None = None) -> bytes:
    """Bytes of a version."""
    found = bytearray()
    async for piece in await objects.read(bucket, info.key, info, begin, info.size if end is None else end):
        found += piece
    return bytes(found)


async def refuses(code: Code, action: Awaitable[object]) -> S3Error:
    """The error of `action`, which must be this one."""
    try:
        result = await action
    except S3Error as error:
        if error.code is not code:
            raise
        return error
    raise AssertionError(f"{result!r} instead of {code.name}")


async def make_bucket(catalog: Catalog, name: str, versioning: str = "", **settings: str) -> str:
    """A new bucket of the owner "owner"; its name."""
    await catalog.create_bucket(name, "owner", {**({"versioning": versioning} if versioning else {}), **settings})
    return name
