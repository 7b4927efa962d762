"""A request and a response without any HTTP library's types, and what an operator sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came.

    :ivar method: upper case. :ivar target: path and query exactly as in the request line, still percent-encoded
        (signatures are made of it). :ivar headers: (name in lower case, value), in order, duplicates kept.
    :ivar body: bytes of the body as they come (after HTTP's own chunked coding); read at most once. Nothing is read
        before the signature of the headers was found right, so a server answers `Expect: 100-continue` at the first
        read. What the gateway leaves unread is the server's to drain or to cut.
    :ivar secure: whether it came by TLS. :ivar peer: the client's address, for the log. :ivar id: the request's id,
        echoed as x-amz-request-id.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: AsyncIterator[bytes]
    secure: bool = False
    peer: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What to send.

    :ivar headers: name in lower case to value; content-length is there whenever the length is known.
    :ivar body: bytes, or an iterator: its first piece was read already, so a failure in it can only cut the
        connection (never end it as if it were whole). Pieces must be sent before the next one is asked for, as they
        may be views of one buffer. For HEAD it is empty while content-length tells the object's.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes | memoryview] = b""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What an operator may set.

    :ivar domain: of virtual-host style requests (`BUCKET.domain`), "" for path style only. :ivar region: what
        GetBucketLocation says; signatures for any region are taken. :ivar server: value of the `server` header.
    :ivar presigned_v2: take URLs of signature version 2, which boto3 makes unless told otherwise.
    :ivar patience: seconds after which a copy or a completion is answered with spaces until it is done.
    """

    domain: str = ""
    region: str = "us-east-1"
    server: str = "drystone"
    presigned_v2: bool = True
    patience: float = 10.0
