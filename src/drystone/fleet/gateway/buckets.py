"""Buckets and their settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from drystone.fleet.gateway.context import Context, empty_response, xml_response
from drystone.fleet.gateway.details import accept_acl, acl_response, tag_elements
from drystone.fleet.gateway.messages import Response
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import settings, xml
from drystone.fleet.s3.bodies import (
    MAX_BUCKET_TAGS,
    read_location,
    read_lock_configuration,
    read_tagging,
    read_versioning,
)
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.keys import check_new_bucket
from drystone.fleet.s3.lifecycle import pack_rules, read_rules, rule_elements, unpack_rules
from drystone.fleet.s3.policy import parse_policy


async def create_bucket(context: Context, operation: op.CreateBucket) -> Response:
    """A new bucket."""
    check_new_bucket(operation.bucket)
    region = read_location(await context.read_document())
    if region not in ("", "EU", "us-east-1", context.settings.region):
        raise S3Error(Code.IllegalLocationConstraintException)
    values = {}
    if operation.lock:
        empty = msgspec.json.encode(settings.DefaultLock()).decode()
        values = {settings.LOCK: empty, settings.VERSIONING: "Enabled"}
    await context.catalog.create_bucket(operation.bucket, context.key.access_key, values)
    return empty_response(200, {"location": f"/{operation.bucket}"})


async def delete_bucket(context: Context, operation: op.DeleteBucket) -> Response:
    """Remove a bucket that is empty: without objects, versions and delete markers. Uploads under way end."""
    name = context.bucket.name
    page = await context.objects.list(name, "", "", "", 1, versions=True)
    if page.objects:
        raise S3Error(Code.BucketNotEmpty, BucketName=name)
    for upload in await context.objects.list_uploads(name, ""):
        await context.objects.abort_upload(name, upload.key, upload.upload_id)
    await context.catalog.delete_bucket(operation.bucket)
    return empty_response(204)


def _get_location(context: Context) -> Response:
    region = context.settings.region
    return xml_response("LocationConstraint", "" if region == "us-east-1" else region)


def _get_versioning(context: Context) -> Response:
    status = settings.versioning(context.bucket.settings)
    return xml_response("VersioningConfiguration", [("Status", status or None)])


async def _put_versioning(context: Context) -> Response:
    status = read_versioning(await context.read_document())
    if status == "Suspended" and settings.default_lock(context.bucket.settings) is not None:
        raise S3Error(Code.InvalidBucketState, "Versioning cannot be suspended in a bucket with object lock.")
    await context.catalog.set_bucket(context.bucket.name, {settings.VERSIONING: status})
    return empty_response()


def _get_lock(context: Context) -> Response:
    default = settings.default_lock(context.bucket.settings)
    if default is None:
        raise S3Error(Code.ObjectLockConfigurationNotFoundError)
    answer: list[tuple[str, xml.Value]] = [("ObjectLockEnabled", "Enabled")]
    if default.mode:
        period = ("Days", default.days) if default.days else ("Years", default.years)
        answer.append(("Rule", [("DefaultRetention", [("Mode", default.mode), period])]))
    return xml_response("ObjectLockConfiguration", answer)


async def _put_lock(context: Context) -> Response:
    values = context.bucket.settings
    if settings.versioning(values) != "Enabled":
        raise S3Error(Code.InvalidBucketState, "Object lock needs a bucket with versioning enabled.")
    default = read_lock_configuration(await context.read_document())
    await context.catalog.set_bucket(context.bucket.name, {settings.LOCK: msgspec.json.encode(default).decode()})
    return empty_response()


def _get_policy(context: Context) -> Response:
    text = context.bucket.settings.get(settings.POLICY, "")
    if not text:
        raise S3Error(Code.NoSuchBucketPolicy, BucketName=context.bucket.name)
    data = text.encode()
    return Response(200, {"content-type": "application/json", "content-length": str(len(data))}, data)


async def _put_policy(context: Context) -> Response:
    name, body = context.bucket.name, await context.read_document()
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise S3Error(Code.MalformedPolicy) from error
    parse_policy(text, name)
    await context.catalog.set_bucket(name, {settings.POLICY: text})
    return empty_response(204)


def _get_policy_status(context: Context) -> Response:
    if not context.bucket.settings.get(settings.POLICY):
        raise S3Error(Code.NoSuchBucketPolicy, BucketName=context.bucket.name)
    return xml_response("PolicyStatus", [("IsPublic", "FALSE")])


def _get_tags(context: Context) -> Response:
    tags = settings.bucket_tags(context.bucket.settings)
    if not tags:
        raise S3Error(Code.NoSuchTagSet, BucketName=context.bucket.name)
    return xml_response("Tagging", tag_elements(tags))


async def _put_tags(context: Context) -> Response:
    tags = read_tagging(await context.read_document(), MAX_BUCKET_TAGS)
    text = msgspec.json.encode(tags).decode() if tags else ""
    await context.catalog.set_bucket(context.bucket.name, {settings.TAGS: text})
    return empty_response(204)


def _get_lifecycle(context: Context) -> Response:
    rules = unpack_rules(context.bucket.settings.get(settings.LIFECYCLE, ""))
    if not rules:
        raise S3Error(Code.NoSuchLifecycleConfiguration, BucketName=context.bucket.name)
    return xml_response("LifecycleConfiguration", rule_elements(rules))


async def _put_lifecycle(context: Context) -> Response:
    rules = read_rules(await context.read_document())
    await context.catalog.set_bucket(context.bucket.name, {settings.LIFECYCLE: pack_rules(rules)})
    return empty_response()


async def _put_acl(context: Context) -> Response:
    await accept_acl(context, context.asked.headers.get("x-amz-acl", ""))
    return empty_response()


def _absent(code: Code) -> Callable[[Context], Response]:
    def refuse(context: Context) -> Response:
        raise S3Error(code, BucketName=context.bucket.name)

    return refuse


def _constant(root: str, value: xml.Value) -> Callable[[Context], Response]:
    return lambda _: xml_response(root, value)


_CLOSED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_GET: Mapping[str, Callable[[Context], Response]] = {
    "accelerate": _constant("AccelerateConfiguration", []),
    "acl": lambda context: acl_response(context.bucket.owner),
    "cors": _absent(Code.NoSuchCORSConfiguration),
    "encryption": _absent(Code.ServerSideEncryptionConfigurationNotFoundError),
    "lifecycle": _get_lifecycle,
    "location": _get_location,
    "logging": _constant("BucketLoggingStatus", []),
    "notification": _constant("NotificationConfiguration", []),
    "object-lock": _get_lock,
    "ownershipControls": _absent(Code.OwnershipControlsNotFoundError),
    "policy": _get_policy,
    "policyStatus": _get_policy_status,
    "publicAccessBlock": _constant("PublicAccessBlockConfiguration", [(name, True) for name in _CLOSED]),
    "replication": _absent(Code.ReplicationConfigurationNotFoundError),
    "requestPayment": _constant("RequestPaymentConfiguration", [("Payer", "BucketOwner")]),
    "tagging": _get_tags,
    "versioning": _get_versioning,
    "website": _absent(Code.NoSuchWebsiteConfiguration),
}
_PUT: Mapping[str, Callable[[Context], Awaitable[Response]]] = {
    "acl": _put_acl,
    "lifecycle": _put_lifecycle,
    "object-lock": _put_lock,
    "policy": _put_policy,
    "tagging": _put_tags,
    "versioning": _put_versioning,
}
_REMOVABLE = {"lifecycle": settings.LIFECYCLE, "policy": settings.POLICY, "tagging": settings.TAGS}
_NEVER_THERE = frozenset({"cors", "encryption", "ownershipControls", "replication", "website"})
"""Settings that are not offered: removing one changes nothing."""


async def get_setting(context: Context, operation: op.GetSetting) -> Response:
    """What a bucket is set to."""
    handler = _GET.get(operation.what)
    if handler is None:
        raise S3Error(Code.NotImplemented)
    return handler(context)


async def put_setting(context: Context, operation: op.PutSetting) -> Response:
    """Change it."""
    handler = _PUT.get(operation.what)
    if handler is None:
        raise S3Error(Code.NotImplemented)
    return await handler(context)


async def delete_setting(context: Context, operation: op.DeleteSetting) -> Response:
    """Remove it."""
    name = context.bucket.name
    if operation.what in _REMOVABLE:
        await context.catalog.set_bucket(name, {_REMOVABLE[operation.what]: ""})
    elif operation.what not in _NEVER_THERE:
        raise S3Error(Code.NotImplemented)
    return empty_response(204)
