"""PUT, copy and DELETE of objects."""

from __future__ import annotations

import asyncio
import dataclasses

from drystone.fleet.documents import Bucket
from drystone.fleet.gateway.access import check_access
from drystone.fleet.gateway.body import CopiedBody
from drystone.fleet.gateway.context import Context, empty_response, xml_response
from drystone.fleet.gateway.messages import Response
from drystone.fleet.gateway.reading import begin_read, checksum_elements, checksum_headers, find
from drystone.fleet.objects import Conditions, ObjectInfo, PutOptions
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import xml
from drystone.fleet.s3.bodies import Removal, read_deletion
from drystone.fleet.s3.conditions import check_copy_source
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.keys import check_key
from drystone.fleet.s3.moments import format_iso
from drystone.fleet.s3.payload import MAX_PUT
from drystone.fleet.s3.settings import default_lock, versioning

_DELETIONS_AT_ONCE = 16


def lock_options(context: Context, options: PutOptions) -> PutOptions:
    """The options with the lock that the bucket gives new versions, when the request says nothing.

    :raises S3Error: InvalidRequest: a lock in a bucket that has none.
    """
    default = default_lock(context.bucket.settings)
    if default is None:
        if options.lock:
            raise S3Error(Code.InvalidRequest, "Bucket is missing Object Lock Configuration")
        return options
    if options.lock.get("mode") or not default.mode:
        return options
    until = format_iso(context.asked.now + default.seconds())
    return dataclasses.replace(options, lock={**options.lock, "mode": default.mode, "until": until})


def _put_headers(context: Context, info: ObjectInfo) -> dict[str, str]:
    return {"etag": f'"{info.etag}"', **context.version_header(info.version_id), **checksum_headers(info)}


async def put_object(context: Context, operation: op.PutObject) -> Response:
    """An object, from the body."""
    options = lock_options(context, operation.options)
    info = await context.objects.put(context.bucket.name, operation.key, context.body, options)
    return empty_response(200, _put_headers(context, info))


async def find_source(context: Context, source: op.Source) -> tuple[Bucket, ObjectInfo]:
    """What is copied, if the key may read it.

    :raises S3Error: AccessDenied, NoSuchBucket, NoSuchKey, PreconditionFailed, InvalidRequest.
    """
    bucket = await context.catalog.bucket(source.bucket)
    action = "s3:GetObjectVersion" if source.version_id else "s3:GetObject"
    check_access(context.key, bucket, source.bucket, "read", action, source.key, secure=context.secure)
    if bucket is None:
        raise S3Error(Code.NoSuchBucket, BucketName=source.bucket[:255])
    if context.asked.headers.get("x-amz-source-expected-bucket-owner", bucket.owner) != bucket.owner:
        raise S3Error(Code.AccessDenied, "The source's bucket has another owner.")
    try:
        info = await find(context, source.bucket, source.key, source.version_id)
    except S3Error as error:
        if error.code is Code.MethodNotAllowed:
            raise S3Error(Code.InvalidRequest, "The source of a copy may not be a delete marker.") from error
        raise
    check_copy_source(source.conditions, info)
    return bucket, info


async def source_body(context: Context, bucket: str, info: ObjectInfo, begin: int, end: int) -> CopiedBody:
    """Bytes [begin, end) of what is copied, as a body."""
    return CopiedBody(await begin_read(context, bucket, info, begin, end))


def source_version_header(bucket: Bucket, info: ObjectInfo) -> dict[str, str]:
    """x-amz-copy-source-version-id, when the source's bucket has versions."""
    return {"x-amz-copy-source-version-id": info.version_id} if versioning(bucket.settings) else {}


async def copy_object(context: Context, operation: op.CopyObject) -> Response:
    """An object, from another one."""
    source, given, name = operation.source, operation.options, context.bucket.name
    bucket, info = await find_source(context, source)
    same = (source.bucket, source.key) == (name, operation.key) and source.version_id is None
    changed = operation.replace or operation.replace_tags or "x-amz-storage-class" in given.headers
    if same and not changed and not versioning(bucket.settings):
        raise S3Error(
            Code.InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing"
            " the object's metadata, storage class, website redirect location or encryption attributes.",
        )
    if info.size > MAX_PUT:
        raise S3Error(Code.InvalidRequest, "The source is larger than what one copy may be; copy it in parts.")
    kept = {name: value for name, value in given.headers.items() if name.startswith("x-amz-")}
    options = dataclasses.replace(
        given,
        size=info.size,
        checksums=given.checksums or dict.fromkeys(info.checksums, ""),
        headers=given.headers if operation.replace else {**info.headers, **kept},
        user=given.user if operation.replace else info.user,
        tags=given.tags if operation.replace_tags else info.tags,
        conditions=operation.conditions,
    )
    return await context.patiently(_put_copy(context, operation.key, bucket, info, lock_options(context, options)))


async def _put_copy(context: Context, key: str, source: Bucket, info: ObjectInfo, options: PutOptions) -> Response:
    body = await source_body(context, source.name, info, 0, info.size)
    made = await context.objects.put(context.bucket.name, key, body, options)
    answer: list[tuple[str, xml.Value]] = [
        ("LastModified", format_iso(made.modified)),
        ("ETag", f'"{made.etag}"'),
        *checksum_elements(made.checksums, made.checksum_type),
    ]
    headers = {**context.version_header(made.version_id), **source_version_header(source, info)}
    return xml_response("CopyObjectResult", answer, headers)


async def delete_object(context: Context, operation: op.DeleteObject) -> Response:
    """Remove an object, or one version of it; in a versioned bucket the former adds a delete marker."""
    bypass = context.bypasses(operation.bypass)
    removed = await context.objects.delete(
        context.bucket.name, operation.key, operation.version_id, operation.conditions, bypass=bypass
    )
    headers: dict[str, str] = {}
    if removed is not None:
        headers = context.version_header(removed.version_id)
        if removed.delete_marker:
            headers["x-amz-delete-marker"] = "true"
    elif operation.version_id is not None:
        headers = context.version_header(operation.version_id)
    return empty_response(204, headers)


async def delete_objects(context: Context, operation: op.DeleteObjects) -> Response:
    """Remove up to 1,000 objects; each has its own answer, in the order asked."""
    bypass, bucket = context.bypasses(operation.bypass), context.bucket
    removals, quiet = read_deletion(await context.read_document())
    gate = asyncio.Semaphore(_DELETIONS_AT_ONCE)

    async def remove(removal: Removal) -> tuple[str, xml.Value]:
        async with gate:
            return await _remove_one(context, bucket, removal, bypass=bypass)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(remove(each)) for each in removals]
    answers = [task.result() for task in tasks]
    return xml_response("DeleteResult", [each for each in answers if not (quiet and each[0] == "Deleted")])


async def _remove_one(context: Context, bucket: Bucket, removal: Removal, *, bypass: bool) -> tuple[str, xml.Value]:
    key, version_id = removal.key, removal.version_id
    named: list[tuple[str, xml.Value]] = [("Key", key), ("VersionId", version_id)]
    action = "s3:DeleteObjectVersion" if version_id else "s3:DeleteObject"
    try:
        check_access(context.key, bucket, bucket.name, "write", action, key, secure=context.secure)
        check_key(key)
        removed = await context.objects.delete(bucket.name, key, version_id, removal.conditions, bypass=bypass)
    except S3Error as error:
        if error.code is not Code.NoSuchKey or removal.conditions != Conditions():
            return "Error", [*named, ("Code", error.code.name), ("Message", error.message)]
        removed = None
    if removed is not None and removed.delete_marker:
        named += [("DeleteMarker", True), ("DeleteMarkerVersionId", removed.version_id)]
    return "Deleted", named
