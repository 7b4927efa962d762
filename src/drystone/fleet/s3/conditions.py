"""If-Match and its kin, decided on values. RFC 9110, section 13; for writes as the S3 API reference has them."""

from __future__ import annotations

from drystone.fleet.objects import Conditions, ObjectInfo
from drystone.fleet.s3.errors import Code, S3Error


def _is_there(info: ObjectInfo | None) -> bool:
    return info is not None and not info.delete_marker


def _named(etags: tuple[str, ...], etag: str) -> bool:
    return "*" in etags or etag in etags


def check_write(conditions: Conditions, info: ObjectInfo | None) -> None:
    """Whether a put, a completion or a delete may happen.

    :param info: the latest version as it is now, under the key's lock; None or a delete marker when there is none.
    :raises S3Error: PreconditionFailed; NoSuchKey when If-Match meets nothing.
    """
    etag = info.etag if info is not None and _is_there(info) else None
    if conditions.if_match:
        if etag is None:
            raise S3Error(Code.NoSuchKey)
        if not _named(conditions.if_match, etag):
            raise S3Error(Code.PreconditionFailed, Condition="If-Match")
    if conditions.if_none_match and etag is not None and _named(conditions.if_none_match, etag):
        raise S3Error(Code.PreconditionFailed, Condition="If-None-Match")


def check_read(conditions: Conditions, info: ObjectInfo) -> None:
    """Whether a get or head is answered with the object.

    :raises S3Error: PreconditionFailed (412) or NotModified (304), the latter with the object's validators as headers.
    """
    modified = int(info.modified)
    if conditions.if_match:
        if not _named(conditions.if_match, info.etag):
            raise S3Error(Code.PreconditionFailed, Condition="If-Match")
    elif conditions.if_unmodified_since is not None and modified > conditions.if_unmodified_since:
        raise S3Error(Code.PreconditionFailed, Condition="If-Unmodified-Since")
    if conditions.if_none_match:
        if _named(conditions.if_none_match, info.etag):
            raise S3Error(Code.NotModified, headers={"etag": f'"{info.etag}"'})
    elif conditions.if_modified_since is not None and modified <= conditions.if_modified_since:
        raise S3Error(Code.NotModified, headers={"etag": f'"{info.etag}"'})


def check_copy_source(conditions: Conditions, info: ObjectInfo) -> None:
    """Whether a copy may be made of `info`: as for reading, but every failure is PreconditionFailed."""
    try:
        check_read(conditions, info)
    except S3Error as error:
        raise S3Error(Code.PreconditionFailed) from error
