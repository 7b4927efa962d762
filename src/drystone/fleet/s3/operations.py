"""The operations of S3 as values: one class each, with what the request's path, query and headers say.

`right` is what a key needs in the bucket, `action` the operation's name in a bucket policy. What the
body says is read later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from drystone.fleet.objects import Conditions, PutOptions

Right = Literal["", "read", "write", "admin"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is asked. :ivar bucket: "" for operations on none. :ivar key: "" for those on a bucket."""

    right: ClassVar[Right] = "admin"
    action: ClassVar[str] = "s3:*"

    bucket: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied. :ivar version_id: None for the latest. :ivar conditions: of x-amz-copy-source-if-*."""

    bucket: str = ""
    key: str = ""
    version_id: str | None = None
    conditions: Conditions = field(default_factory=Conditions)


@dataclass(frozen=True, slots=True)
class ListBuckets(Operation):
    """GET /. :ivar after: token of the page before. :ivar limit: buckets a page."""

    right: ClassVar[Right] = ""
    action: ClassVar[str] = "s3:ListAllMyBuckets"

    prefix: str = ""
    after: str = ""
    limit: int = 10_000


@dataclass(frozen=True, slots=True)
class CreateBucket(Operation):
    """PUT /bucket. :ivar lock: with object lock, and so with versioning."""

    action: ClassVar[str] = "s3:CreateBucket"

    lock: bool = False


@dataclass(frozen=True, slots=True)
class DeleteBucket(Operation):
    """DELETE /bucket."""

    action: ClassVar[str] = "s3:DeleteBucket"


@dataclass(frozen=True, slots=True)
class HeadBucket(Operation):
    """HEAD /bucket."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:ListBucket"


@dataclass(frozen=True, slots=True)
class GetSetting(Operation):
    """GET /bucket?WHAT, for a setting of the bucket. :ivar what: the query's name."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetBucketSetting"

    what: str = ""


@dataclass(frozen=True, slots=True)
class PutSetting(Operation):
    """PUT /bucket?WHAT. :ivar canned: value of x-amz-acl, for an ACL without a body."""

    action: ClassVar[str] = "s3:PutBucketSetting"

    what: str = ""
    canned: str = ""


@dataclass(frozen=True, slots=True)
class DeleteSetting(Operation):
    """DELETE /bucket?WHAT."""

    action: ClassVar[str] = "s3:DeleteBucketSetting"

    what: str = ""


@dataclass(frozen=True, slots=True)
class ListObjects(Operation):
    """GET /bucket, in its first and second version.

    :ivar after: keys after this one: marker, start-after or what the continuation token holds.
    :ivar token: the continuation token as it came. :ivar url: keys are sent percent-encoded.
    """

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:ListBucket"

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000
    url: bool = False
    version: int = 1
    token: str | None = None
    start_after: str = ""
    fetch_owner: bool = False


@dataclass(frozen=True, slots=True)
class ListVersions(Operation):
    """GET /bucket?versions."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:ListBucketVersions"

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    limit: int = 1000
    url: bool = False


@dataclass(frozen=True, slots=True)
class ListUploads(Operation):
    """GET /bucket?uploads."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:ListBucketMultipartUploads"

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_marker: str = ""
    limit: int = 1000
    url: bool = False


@dataclass(frozen=True, slots=True)
class DeleteObjects(Operation):
    """POST /bucket?delete. :ivar bypass: pass over governance."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:DeleteObject"

    bypass: bool = False


@dataclass(frozen=True, slots=True)
class GetObject(Operation):
    """GET or HEAD of an object.

    :ivar range: the header Range, "" for none; `if_range` likewise. :ivar part: part number, 0 for none.
    :ivar overrides: response headers that the query sets. :ivar checksums: x-amz-checksum-* are wanted.
    """

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetObject"

    version_id: str | None = None
    range: str = ""
    if_range: str = ""
    part: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    overrides: tuple[tuple[str, str], ...] = ()
    checksums: bool = False
    head: bool = False


@dataclass(frozen=True, slots=True)
class GetAttributes(Operation):
    """GET ?attributes. :ivar wanted: of x-amz-object-attributes. :ivar after: part number marker."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetObjectAttributes"

    version_id: str | None = None
    wanted: tuple[str, ...] = ()
    after: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class PutObject(Operation):
    """PUT of an object."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    options: PutOptions = field(default_factory=PutOptions)


@dataclass(frozen=True, slots=True)
class CopyObject(Operation):
    """PUT with x-amz-copy-source. :ivar replace: headers and user metadata of the request count, not the source's."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    source: Source = field(default_factory=Source)
    options: PutOptions = field(default_factory=PutOptions)
    conditions: Conditions = field(default_factory=Conditions)
    replace: bool = False
    replace_tags: bool = False


@dataclass(frozen=True, slots=True)
class DeleteObject(Operation):
    """DELETE of an object or of one of its versions."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:DeleteObject"

    version_id: str | None = None
    conditions: Conditions = field(default_factory=Conditions)
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class BeginUpload(Operation):
    """POST ?uploads."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    options: PutOptions = field(default_factory=PutOptions)


@dataclass(frozen=True, slots=True)
class PutPart(Operation):
    """PUT ?partNumber&uploadId."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    upload_id: str = ""
    number: int = 0
    options: PutOptions = field(default_factory=PutOptions)


@dataclass(frozen=True, slots=True)
class CopyPart(Operation):
    """PUT ?partNumber&uploadId with x-amz-copy-source. :ivar range: `bytes=A-B`, "" for all."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    upload_id: str = ""
    number: int = 0
    source: Source = field(default_factory=Source)
    range: str = ""


@dataclass(frozen=True, slots=True)
class CompleteUpload(Operation):
    """POST ?uploadId."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    upload_id: str = ""
    options: PutOptions = field(default_factory=PutOptions)


@dataclass(frozen=True, slots=True)
class AbortUpload(Operation):
    """DELETE ?uploadId."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:AbortMultipartUpload"

    upload_id: str = ""


@dataclass(frozen=True, slots=True)
class ListParts(Operation):
    """GET ?uploadId. :ivar after: part number marker."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:ListMultipartUploadParts"

    upload_id: str = ""
    after: int = 0
    limit: int = 1000
    url: bool = False


@dataclass(frozen=True, slots=True)
class GetDetail(Operation):
    """GET ?tagging, ?retention, ?legal-hold, ?acl of an object. :ivar what: the query's name."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetObjectDetail"

    what: str = ""
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class PutDetail(Operation):
    """PUT of one of them. :ivar bypass: pass over governance. :ivar canned: value of x-amz-acl."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObjectDetail"

    what: str = ""
    version_id: str | None = None
    bypass: bool = False
    canned: str = ""


@dataclass(frozen=True, slots=True)
class DeleteDetail(Operation):
    """DELETE ?tagging of an object."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:DeleteObjectTagging"

    what: str = ""
    version_id: str | None = None
