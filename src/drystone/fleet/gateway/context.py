"""One authenticated request, with all that its handler needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from drystone.fleet.documents import Bucket, Key
from drystone.fleet.gateway.access import may
from drystone.fleet.gateway.body import Body, read_document
from drystone.fleet.gateway.catalog import Catalog
from drystone.fleet.gateway.messages import GatewaySettings, Response
from drystone.fleet.objects import Objects
from drystone.fleet.s3 import xml
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.parsing import Asked
from drystone.fleet.s3.settings import versioning

MAX_DOCUMENT = 4 * 1024**2
"""Bytes of XML or JSON that a request may carry: 10,000 parts with a SHA-256 each fit."""


@dataclass(frozen=True, slots=True)
class Context:
    """A request whose signature is right and whose key has the right.

    :ivar key: whose it is. :ivar secure: by TLS. :ivar existing: its bucket; None for operations on none.
    :ivar patiently: answers for what may take longer than clients wait, when the request was read and looks right.
    """

    objects: Objects
    catalog: Catalog
    settings: GatewaySettings
    asked: Asked
    key: Key
    body: Body
    secure: bool
    existing: Bucket | None
    patiently: Callable[[Coroutine[Any, Any, Response]], Awaitable[Response]]

    @property
    def bucket(self) -> Bucket:
        """The bucket of the operation.

        :raises S3Error: NoSuchBucket.
        """
        if self.existing is None:
            raise S3Error(Code.NoSuchBucket, BucketName=self.asked.bucket[:255])
        return self.existing

    def bypasses(self, wanted: bool) -> bool:
        """Whether governance is passed over: it is `wanted`, and the key is an administrator's here.

        :raises S3Error: AccessDenied: wanted without the right.
        """
        if wanted and not may(self.key, "admin", self.asked.bucket):
            raise S3Error(Code.AccessDenied)
        return wanted

    def version_header(self, version_id: str) -> dict[str, str]:
        """x-amz-version-id, in a bucket that has (or had) versions."""
        return {"x-amz-version-id": version_id} if versioning(self.bucket.settings) else {}

    async def read_document(self, *, checksums: bool = True) -> bytes:
        """The request's document. :param checksums: whether x-amz-checksum-* headers are about it."""
        asked = self.asked
        return await read_document(self.body, asked.payload, asked.headers, MAX_DOCUMENT, checksums=checksums)


def xml_response(root: str, value: xml.Value, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A response with a document."""
    data = xml.render(root, value)
    return Response(
        status, {"content-type": "application/xml", "content-length": str(len(data)), **(headers or {})}, data
    )


def empty_response(status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response without a body."""
    length = {} if status in (204, 304) else {"content-length": "0"}
    return Response(status, {**length, **(headers or {})})
