"""How a body is signed and coded: what x-amz-content-sha256 says, and the lengths that belong to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drystone.fleet.s3.checksums import SIZES
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.numbers import parse_number
from drystone.fleet.s3.signing import UNSIGNED_PAYLOAD

MAX_PUT = 5 * 1024**3
"""Bytes of one put or part."""
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STREAMING = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
}
"""The values for a chunked body: whether chunks are signed, whether trailers come."""


@dataclass(frozen=True, slots=True)
class Payload:
    """How to read a body.

    :ivar size: bytes of what is stored; None when no length was given. :ivar sha256: of the body in hex, "" when it is
        not signed as a whole. :ivar chunked: coded as aws-chunked. :ivar signed: its chunks are signed.
    :ivar trailers: algorithms whose checksums come as trailers.
    """

    size: int | None
    sha256: str = ""
    chunked: bool = False
    signed: bool = False
    trailers: tuple[str, ...] = ()


def read_payload(stated: str, headers: Mapping[str, str]) -> Payload:
    """What the headers say of the body.

    :param stated: x-amz-content-sha256, of the claim.
    :raises S3Error: InvalidRequest, InvalidArgument, NotImplemented, MissingContentLength, EntityTooLarge.
    """
    if stated not in _STREAMING:
        size = _length(headers.get("content-length"))
        if _HEX64.fullmatch(stated):
            return Payload(size, stated)
        if stated == UNSIGNED_PAYLOAD:
            return Payload(size)
        if stated.startswith("STREAMING-"):
            raise S3Error(Code.NotImplemented, "This kind of chunk signature is not offered.")
        raise S3Error(Code.InvalidArgument, "x-amz-content-sha256 must be a SHA-256 in hex or a known keyword.")
    signed, trailing = _STREAMING[stated]
    size = _length(headers.get("x-amz-decoded-content-length"))
    if size is None:
        raise S3Error(Code.MissingContentLength, "x-amz-decoded-content-length is missing.")
    return Payload(size, "", chunked=True, signed=signed, trailers=_announced(headers) if trailing else ())


def _length(text: str | None) -> int | None:
    found = parse_number(text or "")
    if text is not None and found is None:
        raise S3Error(Code.InvalidArgument, "The length is not a number.")
    return found


def _announced(headers: Mapping[str, str]) -> tuple[str, ...]:
    names = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]
    algorithms = tuple(dict.fromkeys(name.removeprefix("x-amz-checksum-") for name in names))
    for name in names:
        if name.removeprefix("x-amz-checksum-") not in SIZES or not name.startswith("x-amz-checksum-"):
            raise S3Error(Code.InvalidRequest, "x-amz-trailer names something that is no checksum.")
    return algorithms
