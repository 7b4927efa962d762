"""The entry point: `Gateway.handle` turns a request into a response, whatever happens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeAlias

from drystone.base.errors import DrystoneError
from drystone.fleet.documents import Bucket, Key
from drystone.fleet.gateway import buckets, details, listings, reading, uploads, writing
from drystone.fleet.gateway.access import check_operation
from drystone.fleet.gateway.body import Body
from drystone.fleet.gateway.catalog import Catalog
from drystone.fleet.gateway.context import Context
from drystone.fleet.gateway.messages import GatewaySettings, Request, Response
from drystone.fleet.gateway.patience import answer_patiently
from drystone.fleet.objects import Objects
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import xml
from drystone.fleet.s3.errors import Code, S3Error, from_error
from drystone.fleet.s3.keys import is_namespace
from drystone.fleet.s3.parsing import Asked, parse_operation, prefix_bucket, split_name
from drystone.fleet.s3.payload import read_payload
from drystone.fleet.s3.presigned_v2 import OldClaim, check_old_claim, read_old_claim
from drystone.fleet.s3.signing import UNSIGNED_PAYLOAD, Chain, check_claim, join_headers, read_claim
from drystone.fleet.s3.target import decode_path, decode_query, query_pairs, split_target

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
"""Bytes of all names and values; servers in front have limits of their own."""
MAX_TARGET = 16 * 1024
"""Bytes of the request line's target."""
Handler: TypeAlias = Callable[[Context, Any], Coroutine[Any, Any, Response]]
_HANDLERS: Mapping[type[op.Operation], Handler] = {
    op.AbortUpload: uploads.abort_upload,
    op.BeginUpload: uploads.begin_upload,
    op.CompleteUpload: uploads.complete_upload,
    op.CopyObject: writing.copy_object,
    op.CopyPart: uploads.copy_part,
    op.CreateBucket: buckets.create_bucket,
    op.DeleteBucket: buckets.delete_bucket,
    op.DeleteDetail: details.delete_detail,
    op.DeleteObject: writing.delete_object,
    op.DeleteObjects: writing.delete_objects,
    op.DeleteSetting: buckets.delete_setting,
    op.GetAttributes: reading.get_attributes,
    op.GetDetail: details.get_detail,
    op.GetObject: reading.get_object,
    op.GetSetting: buckets.get_setting,
    op.HeadBucket: reading.head_bucket,
    op.ListBuckets: listings.list_buckets,
    op.ListObjects: listings.list_objects,
    op.ListParts: uploads.list_parts,
    op.ListUploads: uploads.list_uploads,
    op.ListVersions: listings.list_versions,
    op.PutDetail: details.put_detail,
    op.PutObject: writing.put_object,
    op.PutPart: uploads.put_part,
    op.PutSetting: buckets.put_setting,
}
_log = logging.getLogger(__name__)
DEFAULTS = GatewaySettings()


class Gateway:
    """S3 over `objects` and `catalog`.

    :param now: seconds since 1970, of the wall clock.
    """

    def __init__(
        self,
        objects: Objects,
        catalog: Catalog,
        settings: GatewaySettings = DEFAULTS,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.objects = objects
        self.catalog = catalog
        self.settings = settings
        self.now = now

    async def handle(self, request: Request) -> Response:
        """The answer. Raises nothing but CancelledError; what is wrong becomes an XML error with its status."""
        response = await self._guard(request, self._answer(request))
        response.headers.setdefault("x-amz-request-id", request.id)
        response.headers.setdefault("server", self.settings.server)
        return response

    async def _guard(self, request: Request, work: Coroutine[Any, Any, Response]) -> Response:
        """What `work` answers, or what its error becomes."""
        try:
            response = await work
        except* S3Error as group:
            response = self._refuse(request, _first(group))
        except* DrystoneError as group:
            response = self._refuse(request, from_error(_first(group)))
        except* Exception as group:  # noqa: BLE001  # supervisor of requests: a defect costs one request, and is logged
            _log.error("request %s failed: %s %r", request.id, request.method, request.target[:200], exc_info=group)
            response = self._refuse(request, S3Error(Code.InternalError))
        return response

    async def _answer(self, request: Request) -> Response:
        headers = join_headers(request.headers)
        size = sum(len(name) + len(value) for name, value in request.headers)
        if len(request.headers) > MAX_HEADERS or size > MAX_HEADER_BYTES or len(request.target) > MAX_TARGET:
            raise S3Error(Code.AccessDenied, "The request's headers are too long.")
        now = self.now()
        key, payload, chain = await self._authenticate(request, headers, now)
        asked, body = self._decode(request, headers, payload, chain, now)
        operation = parse_operation(asked)
        existing = await self.catalog.bucket(asked.bucket) if is_namespace(asked.bucket) else None
        check_operation(key, existing, operation, secure=request.secure)
        patiently = partial(self._wait_patiently, request)
        context = Context(
            self.objects, self.catalog, self.settings, asked, key, body, request.secure, existing, patiently
        )
        if asked.bucket and not isinstance(operation, op.CreateBucket):
            bucket = context.bucket  # it must be there, whatever is asked of it
            _check_owner(asked.headers.get("x-amz-expected-bucket-owner", ""), bucket)
        return await _HANDLERS[type(operation)](context, operation)

    async def _wait_patiently(self, request: Request, work: Coroutine[Any, Any, Response]) -> Response:
        return await answer_patiently(self._guard(request, work), self.settings.patience)

    async def _authenticate(
        self, request: Request, headers: Mapping[str, str], now: float
    ) -> tuple[Key, str, Chain | None]:
        """Whose request it is, what it says of its body, and what the body's chunks are signed with."""
        path, query = split_target(request.target)
        pairs = query_pairs(query)
        old = read_old_claim(pairs, headers) if self.settings.presigned_v2 else None
        claim = old or read_claim(pairs, headers)
        key = await self.catalog.find_key(claim.access_key)
        if key is None:
            raise S3Error(Code.InvalidAccessKeyId)
        if isinstance(claim, OldClaim):
            whole = prefix_bucket(headers.get("host", ""), path, self.settings.domain)
            check_old_claim(claim, key.secret, request.method, whole, pairs, headers, now=now)
            return key, UNSIGNED_PAYLOAD, None
        chain = check_claim(claim, key.secret, request.method, path, pairs, headers, now=now)
        return key, claim.payload, chain

    def _decode(
        self, request: Request, headers: Mapping[str, str], stated: str, chain: Chain | None, now: float
    ) -> tuple[Asked, Body]:
        try:
            "".join(headers.values()).encode()
        except UnicodeEncodeError as error:
            raise S3Error(Code.InvalidArgument, "A header is not UTF-8.") from error
        path, query = split_target(request.target)
        bucket, key = split_name(headers.get("host", ""), decode_path(path), self.settings.domain)
        payload = read_payload(stated, headers)
        asked = Asked(request.method, bucket, key, decode_query(query), headers, payload, now)
        return asked, Body(request.body, payload, chain)

    def _refuse(self, request: Request, error: S3Error) -> Response:
        """The error as a response; without a document where HTTP allows none."""
        headers = dict(error.headers)
        if request.method == "HEAD" or error.status == 304:
            return Response(error.status, headers)
        document: list[tuple[str, xml.Value]] = [
            ("Code", error.code.name),
            ("Message", error.message),
            *((name, _printable(value)) for name, value in error.facts.items()),
            ("RequestId", request.id),
        ]
        data = xml.render("Error", document, namespace=False)
        headers |= {"content-type": "application/xml", "content-length": str(len(data))}
        if error.code is Code.SlowDown:
            headers.setdefault("retry-after", "1")
        return Response(error.status, headers, data)


def _check_owner(expected: str, bucket: Bucket) -> None:
    if expected and expected != bucket.owner:
        raise S3Error(Code.AccessDenied, "The bucket has another owner.")


def _printable(value: str | int) -> str:
    """What a client sent, as XML can hold it."""
    return "".join(each if each.isprintable() else "\ufffd" for each in str(value))


def _first(group: BaseExceptionGroup[Any]) -> Any:
    """The first error of a group, however deep."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
