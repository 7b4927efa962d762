"""Tags, retention, legal hold and ACL of objects."""

from __future__ import annotations

from drystone.fleet.gateway.context import Context, empty_response, xml_response
from drystone.fleet.gateway.listings import owner_element
from drystone.fleet.gateway.messages import Response
from drystone.fleet.gateway.reading import find
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import xml
from drystone.fleet.s3.bodies import check_acl, read_legal_hold, read_retention, read_tagging
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.fields import MAX_TAGS, check_canned
from drystone.fleet.s3.locks import check_retention
from drystone.fleet.s3.settings import default_lock


def tag_elements(tags: dict[str, str]) -> list[tuple[str, xml.Value]]:
    """TagSet."""
    return [("TagSet", [("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items()])]


def acl_response(owner: str) -> Response:
    """The ACL that everything has: its owner's full control. Rights of keys and policies are what decides."""
    grantee = 'Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
    grant: list[tuple[str, xml.Value]] = [
        (grantee, [("ID", owner), ("DisplayName", owner)]),
        ("Permission", "FULL_CONTROL"),
    ]
    return xml_response("AccessControlPolicy", [owner_element(owner), ("AccessControlList", [("Grant", grant)])])


async def accept_acl(context: Context, canned: str) -> None:
    """Take an ACL that says what holds anyway, from the header or the body.

    :raises S3Error: NotImplemented: it says something else.
    """
    check_canned(canned)
    if any(name.startswith("x-amz-grant-") for name in context.asked.headers):
        raise S3Error(Code.NotImplemented, "Grants are not offered; the rights of keys and bucket policies decide.")
    if not canned:
        owner = context.bucket.owner
        check_acl(await context.read_document(), lambda each: each == owner)


def _check_locking(context: Context) -> None:
    if default_lock(context.bucket.settings) is None:
        raise S3Error(Code.InvalidRequest, "Bucket is missing Object Lock Configuration")


async def get_detail(context: Context, operation: op.GetDetail) -> Response:
    """What is asked of one version."""
    bucket = context.bucket
    if operation.what in ("retention", "legal-hold"):
        _check_locking(context)
    info = await find(context, bucket.name, operation.key, operation.version_id)
    headers = context.version_header(info.version_id)
    if operation.what == "acl":
        return acl_response(bucket.owner)
    if operation.what == "tagging":
        return xml_response("Tagging", tag_elements(info.tags), headers)
    if operation.what == "retention":
        if not info.lock.get("mode"):
            raise S3Error(Code.NoSuchObjectLockConfiguration)
        answer: list[tuple[str, xml.Value]] = [
            ("Mode", info.lock["mode"]),
            ("RetainUntilDate", info.lock["until"]),
        ]
        return xml_response("Retention", answer)
    if not info.lock.get("hold"):
        raise S3Error(Code.NoSuchObjectLockConfiguration)
    return xml_response("LegalHold", [("Status", info.lock["hold"])])


async def put_detail(context: Context, operation: op.PutDetail) -> Response:
    """Change one of them; the object's bytes stay."""
    name = context.bucket.name
    if operation.what == "acl":
        await find(context, name, operation.key, operation.version_id)
        await accept_acl(context, operation.canned)
        return empty_response()
    if operation.what != "tagging":
        _check_locking(context)
    bypass = context.bypasses(operation.bypass)
    body = await context.read_document()
    info = await find(context, name, operation.key, operation.version_id)
    if operation.what == "tagging":
        changes = {"tags": read_tagging(body, MAX_TAGS)}
    else:
        changes = {"lock": _changed_lock(context, operation, info, body, bypass=bypass)}
    changed = await context.objects.update(name, operation.key, info.version_id, changes)
    return empty_response(200, context.version_header(changed.version_id))


def _changed_lock(
    context: Context, operation: op.PutDetail, info: ObjectInfo, body: bytes, *, bypass: bool
) -> dict[str, str]:
    if operation.what == "legal-hold":
        return {**info.lock, "hold": read_legal_hold(body)}
    retention = read_retention(body, context.asked.now)
    check_retention(info.lock, retention, context.asked.now, bypass=bypass)
    hold = {"hold": info.lock["hold"]} if "hold" in info.lock else {}
    return {**retention, **hold}


async def delete_detail(context: Context, operation: op.DeleteDetail) -> Response:
    """Remove the tags of a version."""
    if operation.what != "tagging":
        raise S3Error(Code.MethodNotAllowed)
    info = await find(context, context.bucket.name, operation.key, operation.version_id)
    changed = await context.objects.update(context.bucket.name, operation.key, info.version_id, {"tags": {}})
    return empty_response(204, context.version_header(changed.version_id))
