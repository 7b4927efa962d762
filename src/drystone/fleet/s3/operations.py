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
class Setting(Operation):
    """About a setting of a bucket. :ivar what: the query's name."""

    what: str = ""


@dataclass(frozen=True, slots=True)
class GetSetting(Setting):
    """GET /bucket?WHAT."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetBucketSetting"


@dataclass(frozen=True, slots=True)
class PutSetting(Setting):
    """PUT /bucket?WHAT. :ivar canned: value of x-amz-acl, for an ACL without a body."""

    action: ClassVar[str] = "s3:PutBucketSetting"

    canned: str = ""


@dataclass(frozen=True, slots=True)
class DeleteSetting(Setting):
    """DELETE /bucket?WHAT."""

    action: ClassVar[str] = "s3:DeleteBucketSetting"


@dataclass(frozen=True, slots=True)
class Listing(Operation):
    """A page of what is in a bucket. :ivar limit: entries. :ivar url: keys are sent percent-encoded."""

    right: ClassVar[Right] = "read"

    prefix: str = ""
    delimiter: str = ""
    limit: int = 1000
    url: bool = False


@dataclass(frozen=True, slots=True)
class ListObjects(Listing):
    """GET /bucket, in its first and second version.

    :ivar after: keys after this one: marker, start-after or what the continuation token holds.
    :ivar token: the continuation token as it came.
    """

    action: ClassVar[str] = "s3:ListBucket"

    after: str = ""
    version: int = 1
    token: str | None = None
    start_after: str = ""
    fetch_owner: bool = False


@dataclass(frozen=True, slots=True)
class ListVersions(Listing):
    """GET /bucket?versions."""

    action: ClassVar[str] = "s3:ListBucketVersions"

    key_marker: str = ""
    version_marker: str = ""


@dataclass(frozen=True, slots=True)
class ListUploads(Listing):
    """GET /bucket?uploads."""

    action: ClassVar[str] = "s3:ListBucketMultipartUploads"

    key_marker: str = ""
    upload_marker: str = ""


@dataclass(frozen=True, slots=True)
class DeleteObjects(Operation):
    """POST /bucket?delete. :ivar bypass: pass over governance."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:DeleteObject"

    bypass: bool = False


@dataclass(frozen=True, slots=True)
class OfVersion(Operation):
    """About one version of an object. :ivar version_id: None for the latest."""

    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class GetObject(OfVersion):
    """GET or HEAD of an object.

    :ivar range: the header Range, "" for none; `if_range` likewise. :ivar part: part number, 0 for none.
    :ivar overrides: response headers that the query sets. :ivar checksums: x-amz-checksum-* are wanted.
    """

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetObject"

    range: str = ""
    if_range: str = ""
    part: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    overrides: tuple[tuple[str, str], ...] = ()
    checksums: bool = False
    head: bool = False


@dataclass(frozen=True, slots=True)
class GetAttributes(OfVersion):
    """GET ?attributes. :ivar wanted: of x-amz-object-attributes. :ivar after: part number marker."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetObjectAttributes"

    wanted: tuple[str, ...] = ()
    after: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class DeleteObject(OfVersion):
    """DELETE of an object or of one of its versions."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:DeleteObject"

    conditions: Conditions = field(default_factory=Conditions)
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class Storing(Operation):
    """What makes an object, or a step towards one. :ivar options: all that the request says of it but its bytes."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObject"

    options: PutOptions = field(default_factory=PutOptions)


@dataclass(frozen=True, slots=True)
class PutObject(Storing):
    """PUT of an object."""


@dataclass(frozen=True, slots=True)
class CopyObject(Storing):
    """PUT with x-amz-copy-source. :ivar replace: headers and user metadata of the request count, not the source's."""

    source: Source = field(default_factory=Source)
    conditions: Conditions = field(default_factory=Conditions)
    replace: bool = False
    replace_tags: bool = False


@dataclass(frozen=True, slots=True)
class BeginUpload(Storing):
    """POST ?uploads."""


@dataclass(frozen=True, slots=True)
class PutPart(Storing):
    """PUT ?partNumber&uploadId."""

    upload_id: str = ""
    number: int = 0


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
class CompleteUpload(Storing):
    """POST ?uploadId."""

    upload_id: str = ""


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
class Detail(OfVersion):
    """?tagging, ?retention, ?legal-hold or ?acl of an object. :ivar what: the query's name."""

    what: str = ""


@dataclass(frozen=True, slots=True)
class GetDetail(Detail):
    """GET of one."""

    right: ClassVar[Right] = "read"
    action: ClassVar[str] = "s3:GetObjectDetail"


@dataclass(frozen=True, slots=True)
class PutDetail(Detail):
    """PUT of one. :ivar bypass: pass over governance. :ivar canned: value of x-amz-acl."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:PutObjectDetail"

    bypass: bool = False
    canned: str = ""


@dataclass(frozen=True, slots=True)
class DeleteDetail(Detail):
    """DELETE ?tagging of an object."""

    right: ClassVar[Right] = "write"
    action: ClassVar[str] = "s3:DeleteObjectTagging"
