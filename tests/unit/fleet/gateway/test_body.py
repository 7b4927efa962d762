"""A body is what its headers say, or an error at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from drystone.fleet.gateway.body import Body, CopiedBody
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.payload import Payload
from drystone.fleet.s3.signing import Chain

CHAIN = Chain(b"", "", "", "")


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 3):
        yield data[at : at + 3]


def collect(body: Body | CopiedBody) -> bytes:
    async def run() -> bytes:
        return b"".join([piece async for piece in body])

    return asyncio.run(run())


def test_a_plain_body() -> None:
    body = Body(pieces(b"12345"), Payload(5), CHAIN)
    assert (collect(body), body.trailers()) == (b"12345", {})
    assert collect(Body(pieces(b"12345"), Payload(None), CHAIN)) == b"12345"
    assert collect(CopiedBody(pieces(b"12345"))) == b"12345"


@pytest.mark.parametrize("size", [0, 4, 6])
def test_a_plain_body_of_another_length(size: int) -> None:
    with pytest.raises(S3Error) as caught:
        collect(Body(pieces(b"12345"), Payload(size), CHAIN))
    assert caught.value.code is Code.IncompleteBody


def test_trailers_are_known_after_the_end() -> None:
    coded = b"5\r\n12345\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    body = Body(pieces(coded), Payload(5, chunked=True, trailers=("crc32",)), CHAIN)
    assert body.trailers() == {}
    assert (collect(body), body.trailers()) == (b"12345", {"crc32": "AAAAAA=="})
