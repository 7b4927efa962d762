"""Tags, retention, legal hold and ACL of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

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

_TRIES = 8
"""How often a change is decided anew."""


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


Changes: TypeAlias = dict[str, dict[str, str]]
"""As `Objects.update` takes them."""


async def put_detail(context: Context, operation: op.PutDetail) -> Response:
    """Change one of them; the object's bytes stay."""
    if operation.what == "acl":
        await find(context, context.bucket.name, operation.key, operation.version_id)
        await accept_acl(context, operation.canned)
        return empty_response()
    if operation.what != "tagging":
        _check_locking(context)
    bypass = context.bypasses(operation.bypass)
    decide = _read_change(operation.what, await context.read_document(), context.asked.now, bypass=bypass)
    changed = await _change(context, operation.key, operation.version_id, decide)
    return empty_response(200, context.version_header(changed.version_id))


def _read_change(what: str, body: bytes, now: float, *, bypass: bool) -> Callable[[ObjectInfo], Changes]:
    """What a document changes of a version."""
    if what == "tagging":
        tags = read_tagging(body, MAX_TAGS)
        return lambda _: {"tags": tags}
    if what == "legal-hold":
        hold = read_legal_hold(body)
        return lambda info: {"lock": {**info.lock, "hold": hold}}
    retention = read_retention(body, now)

    def retain(info: ObjectInfo) -> Changes:
        check_retention(info.lock, retention, now, bypass=bypass)
        hold = {"hold": info.lock["hold"]} if "hold" in info.lock else {}
        return {"lock": {**retention, **hold}}

    return retain


async def _change(
    context: Context, key: str, version_id: str | None, decide: Callable[[ObjectInfo], Changes]
) -> ObjectInfo:
    """Make the change that `decide` makes of a version; anew when somebody changed the version in between, so that
    nothing is decided by what no longer holds.

    :raises S3Error: what `decide` raises; OperationAborted: it was changed each time.
    """
    bucket, tries = context.bucket.name, _TRIES
    while True:
        info = await find(context, bucket, key, version_id)
        try:
            return await context.objects.update(bucket, key, info.version_id, decide(info), seq=info.seq)
        except S3Error as error:
            tries -= 1
            if error.code is not Code.OperationAborted or not tries:
                raise


async def delete_detail(context: Context, operation: op.DeleteDetail) -> Response:
    """Remove the tags of a version."""
    if operation.what != "tagging":
        raise S3Error(Code.MethodNotAllowed)
    changed = await _change(context, operation.key, operation.version_id, lambda _: {"tags": {}})
    return empty_response(204, context.version_header(changed.version_id))
