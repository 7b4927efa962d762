"""GET and HEAD of objects and of what is known about them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from drystone.fleet.gateway.context import Context, empty_response, xml_response
from drystone.fleet.gateway.messages import Response
from drystone.fleet.objects import Conditions, ObjectInfo
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import xml
from drystone.fleet.s3.conditions import check_read
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.moments import format_http, parse_http
from drystone.fleet.s3.ranges import resolve_part, resolve_range

_TRIES = 3
"""How often an object that is overwritten between its head and its read is looked up again."""
_NONE = Conditions()
_DEFAULT_TYPE = "binary/octet-stream"


async def find(context: Context, bucket: str, key: str, version_id: str | None) -> ObjectInfo:
    """A version that has bytes.

    :raises S3Error: NoSuchKey, NoSuchVersion; for a delete marker NoSuchKey, or MethodNotAllowed when it was named.
    """
    info = await context.objects.head(bucket, key, version_id)
    _check_bytes(info, key, version_id)
    return info


def _check_bytes(info: ObjectInfo, key: str, version_id: str | None) -> None:
    if not info.delete_marker:
        return
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": info.version_id}
    if version_id is None:
        raise S3Error(Code.NoSuchKey, Key=key, headers=headers)
    headers |= {"allow": "DELETE", "last-modified": format_http(info.modified)}
    raise S3Error(Code.MethodNotAllowed, headers=headers)


def checksum_headers(info: ObjectInfo) -> dict[str, str]:
    """x-amz-checksum-* of an object."""
    found = {f"x-amz-checksum-{name}": value for name, value in info.checksums.items()}
    if found:
        found["x-amz-checksum-type"] = info.checksum_type or "FULL_OBJECT"
    return found


def object_headers(context: Context, info: ObjectInfo) -> dict[str, str]:
    """What is sent about an object with its bytes."""
    headers = {
        "content-type": _DEFAULT_TYPE,
        **{name: value for name, value in info.headers.items() if name != "x-amz-storage-class"},
        "etag": f'"{info.etag}"',
        "last-modified": format_http(info.modified),
        "accept-ranges": "bytes",
        **{f"x-amz-meta-{name}": value for name, value in info.user.items()},
        **context.version_header(info.version_id),
    }
    if info.tags:
        headers["x-amz-tagging-count"] = str(len(info.tags))
    if info.lock.get("mode"):
        headers["x-amz-object-lock-mode"] = info.lock["mode"]
        headers["x-amz-object-lock-retain-until-date"] = info.lock["until"]
    if info.lock.get("hold"):
        headers["x-amz-object-lock-legal-hold"] = info.lock["hold"]
    return headers


def _range(operation: op.GetObject, info: ObjectInfo) -> tuple[int, int] | None:
    if operation.part:
        begin, end = resolve_part(operation.part, info.parts, info.size)
        return (begin, end) if info.parts or info.size else None
    if operation.if_range and not _unchanged(operation.if_range, info):
        return None
    return resolve_range(operation.range, info.size)


def _unchanged(validator: str, info: ObjectInfo) -> bool:
    if validator.startswith('"'):
        return validator == f'"{info.etag}"'
    try:
        return parse_http(validator) == int(info.modified)
    except ValueError:
        return False


async def get_object(context: Context, operation: op.GetObject) -> Response:
    """Bytes of an object, or all but them."""
    bucket = context.bucket.name
    is_plain = not (operation.head or operation.range or operation.part or operation.conditions != _NONE)
    for _ in range(_TRIES):
        info, pieces = await _open(context, bucket, operation, at_once=is_plain)
        check_read(operation.conditions, info)
        part = _range(operation, info)
        begin, end = part or (0, info.size)
        headers = object_headers(context, info)
        headers["content-length"] = str(end - begin)
        if part:
            headers["content-range"] = f"bytes {begin}-{end - 1}/{info.size}"
        elif operation.checksums:
            headers |= checksum_headers(info)
        if operation.part and info.parts:
            headers["x-amz-mp-parts-count"] = str(len(info.parts))
        headers |= dict(operation.overrides)
        status = 206 if part else 200
        if operation.head or begin == end:
            return Response(status, headers)
        try:
            pieces = pieces or await context.objects.read(bucket, info.key, info, begin, end)
            return Response(status, headers, await _begin(pieces))
        except S3Error as error:
            if error.code is not Code.NoSuchKey:
                raise
    raise S3Error(Code.SlowDown, "The object is being overwritten all the time; try again.")


async def _open(
    context: Context, bucket: str, operation: op.GetObject, *, at_once: bool
) -> tuple[ObjectInfo, AsyncIterator[bytes | memoryview] | None]:
    """As `find`, and the bytes where they can be had in the same step."""
    if not at_once:
        return await find(context, bucket, operation.key, operation.version_id), None
    info, pieces = await context.objects.open(bucket, operation.key, operation.version_id)
    _check_bytes(info, operation.key, operation.version_id)
    return info, pieces


async def begin_read(
    context: Context, bucket: str, info: ObjectInfo, begin: int, end: int
) -> AsyncIterator[bytes | memoryview]:
    """Bytes [begin, end) of an object; the first piece was read when this returns, so its error is raised here."""
    if begin == end:
        return _nothing()
    return await _begin(await context.objects.read(bucket, info.key, info, begin, end))


async def _begin(pieces: AsyncIterator[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    try:
        first = await anext(pieces)
    except StopAsyncIteration:
        raise S3Error(Code.InternalError) from None
    return _continue(first, pieces)


async def _nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for each in pieces:
        yield each


async def _continue(
    first: bytes | memoryview, pieces: AsyncIterator[bytes | memoryview]
) -> AsyncIterator[bytes | memoryview]:
    try:
        yield first
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def get_attributes(context: Context, operation: op.GetAttributes) -> Response:
    """ETag, checksums, parts, size and storage class of an object, as far as they are wanted."""
    wanted = operation.wanted
    if not wanted or not set(wanted) <= {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}:
        raise S3Error(Code.InvalidArgument, "Invalid attribute name specified.")
    info = await find(context, context.bucket.name, operation.key, operation.version_id)
    answer: list[tuple[str, xml.Value]] = []
    if "ETag" in wanted:
        answer.append(("ETag", info.etag))
    if "Checksum" in wanted and info.checksums:
        answer.append(("Checksum", checksum_elements(info.checksums, info.checksum_type or "FULL_OBJECT")))
    if "ObjectParts" in wanted and info.parts:
        answer.append(("ObjectParts", _parts(operation, info)))
    if "StorageClass" in wanted:
        answer.append(("StorageClass", storage_class(info)))
    if "ObjectSize" in wanted:
        answer.append(("ObjectSize", info.size))
    headers = {"last-modified": format_http(info.modified), **context.version_header(info.version_id)}
    return xml_response("GetObjectAttributesResponse", answer, headers)


def _parts(operation: op.GetAttributes, info: ObjectInfo) -> xml.Value:
    numbered = [(number, size) for number, size in enumerate(info.parts, 1) if number > operation.after]
    shown = numbered[: operation.limit]
    return [
        ("PartNumberMarker", operation.after),
        ("MaxParts", operation.limit),
        ("PartsCount", len(info.parts)),
        ("IsTruncated", len(shown) < len(numbered)),
        ("NextPartNumberMarker", shown[-1][0] if shown else 0),
        *(("Part", [("PartNumber", number), ("Size", size)]) for number, size in shown),
    ]


def storage_class(info: ObjectInfo) -> str:
    """As it was put: STANDARD when nothing was said. All are kept alike."""
    return info.headers.get("x-amz-storage-class", "STANDARD")


def checksum_elements(checksums: dict[str, str], kind: str = "") -> list[tuple[str, xml.Value]]:
    """ChecksumCRC32 and the like, and ChecksumType when it is said."""
    found: list[tuple[str, xml.Value]] = [(f"Checksum{name.upper()}", text) for name, text in checksums.items()]
    return [*found, ("ChecksumType", kind)] if found and kind else found


async def head_bucket(context: Context, operation: op.HeadBucket) -> Response:  # noqa: ARG001
    """That the bucket is there; where it is not, nobody comes here."""
    return empty_response(200, {"x-amz-bucket-region": context.settings.region})
