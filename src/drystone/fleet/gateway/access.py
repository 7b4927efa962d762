"""Who may do what: the rights of keys, and bucket policies."""

from __future__ import annotations

from collections.abc import Mapping

from drystone.fleet.documents import Bucket, Key
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.policy import decide, parse_policy
from drystone.fleet.s3.settings import POLICY

_LEVELS: Mapping[str, int] = {"": 0, "read": 1, "write": 2, "admin": 3}
_SETTINGS = {
    "acl": "BucketAcl",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "object-lock": "BucketObjectLockConfiguration",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}
_DETAILS = {"acl": "Acl", "legal-hold": "LegalHold", "retention": "Retention", "tagging": "Tagging"}


def may(key: Key, right: op.Right, bucket: str) -> bool:
    """Whether the key's own rights hold `right` in a bucket."""
    held = max(_LEVELS.get(key.rights.get(name, ""), 0) for name in (bucket, "*"))
    return held >= _LEVELS[right]


def action_of(operation: op.Operation) -> str:
    """The operation's name in a policy: `s3:GetObject`."""
    match operation:
        case op.GetSetting(what=what) | op.PutSetting(what=what) | op.DeleteSetting(what=what):
            verb = "Get" if isinstance(operation, op.GetSetting) else "Put"
            if what == "policy" and isinstance(operation, op.DeleteSetting):
                verb = "Delete"
            return f"s3:{verb}{_SETTINGS.get(what, 'Bucket' + what[:1].upper() + what[1:])}"
        case op.GetDetail(what=what, version_id=version_id):
            verb = "Get"
        case op.PutDetail(what=what, version_id=version_id):
            verb = "Put"
        case op.DeleteDetail(what=what, version_id=version_id):
            verb = "Delete"
        case op.GetObject(version_id=version_id):
            return "s3:GetObjectVersion" if version_id is not None else "s3:GetObject"
        case op.DeleteObject(version_id=version_id):
            return "s3:DeleteObjectVersion" if version_id is not None else "s3:DeleteObject"
        case _:
            return operation.action
    versioned = "Version" if version_id is not None and what in ("acl", "tagging") else ""
    return f"s3:{verb}Object{versioned}{_DETAILS[what]}"


def check_access(
    key: Key, bucket: Bucket | None, name: str, right: op.Right, action: str, object_key: str, *, secure: bool
) -> None:
    """Whether the key may do this.

    :param bucket: None when it does not exist: then the key's own rights decide, so that one without any learns
        nothing. :param object_key: "" for the bucket itself.
    :raises S3Error: AccessDenied.
    """
    held = may(key, right, name)
    policy = bucket.settings.get(POLICY, "") if bucket is not None else ""
    if policy:
        resource = f"{name}/{object_key}" if object_key else name
        said = decide(parse_policy(policy, name), key.access_key, action, resource, secure=secure)
        keeps = action.endswith("BucketPolicy") and may(key, "admin", name)
        if said is False and not keeps:
            raise S3Error(Code.AccessDenied)
        held = held or said is True
    if not held:
        raise S3Error(Code.AccessDenied)


def check_operation(key: Key, bucket: Bucket | None, operation: op.Operation, *, secure: bool) -> None:
    """Whether the key may do `operation`.

    :raises S3Error: AccessDenied.
    """
    check_access(key, bucket, operation.bucket, operation.right, action_of(operation), operation.key, secure=secure)
