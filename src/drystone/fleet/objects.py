"""Objects as the S3 interface and the legacy one see them: one Protocol, local, forwarded or in memory (for tests)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of one version of an object.

    :ivar key: within its bucket. :ivar size: bytes. :ivar modified: seconds since 1970. :ivar etag: without quotes: the
        MD5 in hex, or `<md5 of md5s>-<parts>` for one put in parts. :ivar digest: BLAKE3 (hex) of the BLAKE3 of each
        MiB. :ivar seq: its version number. :ivar version_id: S3's; "null" when the bucket was not versioned.
    :ivar headers: content-type, cache-control and the like, as given. :ivar user: x-amz-meta-*, names without prefix.
    :ivar checksums: S3 algorithm name in lower case ("crc32c", ...) to base64. :ivar parts: sizes, when put in parts.
    :ivar lock: object-lock fields ("mode", "until", "hold") where set.
    """

    key: str
    size: int
    modified: float
    etag: str
    digest: str
    seq: int
    version_id: str = "null"
    latest: bool = True
    delete_marker: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = ""
    parts: tuple[int, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    lock: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conditions:
    """If-Match, If-None-Match (ETags without quotes, "*" for any), If-(Un)Modified-Since (seconds since 1970)."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since: float | None = None
    if_unmodified_since: float | None = None


@dataclass(frozen=True, slots=True)
class PutOptions:
    """All about a put but its bytes.

    :ivar size: bytes that will come; fewer or more is an error. :ivar md5: hex, when the client said; :ivar sha256:
        likewise, of the bytes as they are stored. :ivar checksums: as in ObjectInfo; the value "" means: compute it and
        keep it. Values may also arrive with the last byte (trailers): `trailers` is then asked after the body has
        ended. Whoever stores the bytes compares all of these (drystone.fleet.s3.checksums.Sums does).
    :ivar checksum_type: FULL_OBJECT or COMPOSITE, of an object in parts.
    """

    size: int | None = None
    md5: str = ""
    sha256: str = ""
    checksums: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lock: dict[str, str] = field(default_factory=dict)
    conditions: Conditions = Conditions()
    checksum_type: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing, in the order of the keys' UTF-8 bytes.

    :ivar after: pass it to get the next page; "" at the end, also of a page that is full.
    """

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...]
    after: str


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """An upload in parts that is under way."""

    key: str
    upload_id: str
    begun: float
    options: PutOptions


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A part of one. :ivar etag: MD5 in hex."""

    number: int
    size: int
    etag: str
    modified: float
    checksums: dict[str, str] = field(default_factory=dict)


class ByteSource(Protocol):
    """A body that is read once. Iterating raises the error of a wrong signature, length or trailer at its end."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def trailers(self) -> dict[str, str]:
        """Checksums that came after the body (as in PutOptions.checksums); empty before its end."""


class Objects(Protocol):
    """The objects of all buckets. What a method changed is durable on all in-sync copies when it returns.

    All raise errors of drystone.base.errors or of drystone.fleet.s3.errors: NoSuchKey, PreconditionFailed, BadDigest,
    SlowDown (503: try again) and so on.
    """

    async def put(self, bucket: str, key: str, body: ByteSource, options: PutOptions) -> ObjectInfo: ...

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        """Of the latest version when none is named. A delete marker is returned as one, not raised."""

    async def open(
        self, bucket: str, key: str, version_id: str | None = None
    ) -> tuple[ObjectInfo, AsyncIterator[bytes | memoryview] | None]:
        """As `head`, and all bytes of the version as `read` gives them where the first are at hand by then; else None:
        to be had by `read`."""

    async def read(
        self, bucket: str, key: str, info: ObjectInfo, begin: int, end: int
    ) -> AsyncIterator[bytes | memoryview]:
        """Bytes [begin, end) of exactly the version that `info` names, each checked before it is handed out.

        :raises S3Error: NoSuchKey when that version is no more.
        """

    async def delete(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = ...,
        *,
        bypass: bool = False,
    ) -> ObjectInfo | None:
        """What was removed, or the delete marker that was made; None when there was nothing.

        A versioned bucket gets a marker also for a key that it does not hold. :param bypass: remove what is governed.
        """

    async def list(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int, *, versions: bool = False
    ) -> Page:
        """At most `limit` keys and common prefixes (up to the `delimiter` after `prefix`), in order.

        :param after: leave out the keys up to it, and the common prefix that it is. With `versions`, of a key the
            newest version first, delete markers too, and `after` may be KEY NUL VERSION_ID: go on after that version.
        """

    async def update(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        changes: dict[str, dict[str, str]],
        *,
        seq: int | None = None,
    ) -> ObjectInfo:
        """Replace the `tags`, `lock`, `headers` or `user` of one version as a whole; its bytes stay.

        :param seq: of the version that the changes were made of; None to change it whatever it is by now.
        :raises S3Error: OperationAborted: it has another one by now, and nothing was changed.
        """

    async def begin_upload(self, bucket: str, key: str, options: PutOptions) -> UploadInfo: ...

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: ByteSource, options: PutOptions
    ) -> PartInfo:
        """A part. Checksums of the upload's algorithm are computed and kept also where `options` has none."""

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> tuple[UploadInfo, tuple[PartInfo, ...]]: ...

    async def list_uploads(self, bucket: str, prefix: str) -> tuple[UploadInfo, ...]: ...

    async def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: tuple[tuple[int, str], ...], options: PutOptions
    ) -> ObjectInfo:
        """One object out of the parts (number, etag), in that order.

        :param options: conditions, and the whole object's checksum ready made; the rest is the upload's own.
        """

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None: ...
