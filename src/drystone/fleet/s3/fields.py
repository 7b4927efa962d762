"""The headers of a put as values: what to keep, what to check, on which condition. Each function reads one kind."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from drystone.fleet.objects import Conditions, PutOptions
from drystone.fleet.s3.checksums import COMPOSITE, FULL_OBJECT, SIZES, parse_checksum
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.keys import check_key
from drystone.fleet.s3.locks import MODES
from drystone.fleet.s3.moments import format_iso, parse_http, parse_iso
from drystone.fleet.s3.operations import Source
from drystone.fleet.s3.payload import MAX_PUT, Payload

KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
)
"""Headers that are kept with an object and sent with it."""
STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "STANDARD_IA",
        "ONEZONE_IA",
        "REDUCED_REDUNDANCY",
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
        "GLACIER",
        "DEEP_ARCHIVE",
    }
)
"""Names that are kept and shown. All objects are stored alike, and can be read at once."""
MAX_USER_METADATA = 2048
MAX_TAGS = 10
_ENTITY = re.compile(r'\s*+(?:(?:W/)?"([^"]*+)"|([^",\s]++))?\s*+(?:,|$)')
_TAG = re.compile(r"[\w\s+\-=.:/@]*")


def read_etags(text: str) -> tuple[str, ...]:
    """The ETags of If-Match or If-None-Match, without quotes; `*` for any. Those without quotes are taken too.

    :raises S3Error: InvalidArgument: it is no list of ETags. (Passed over, a condition would hold that was not meant.)
    """
    found, at = [], 0
    while at < len(text):
        match = _ENTITY.match(text, at)
        if match is None:
            raise S3Error(Code.InvalidArgument, "If-Match and If-None-Match are lists of ETags.")
        found.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return tuple(each for each in found if each is not None)


def read_conditions(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """The conditions in If-* headers. :param prefix: `x-amz-copy-source-` for those on the source of a copy.

    :raises S3Error: InvalidArgument: no ETags.
    """
    return Conditions(
        read_etags(headers.get(f"{prefix}if-match", "")),
        read_etags(headers.get(f"{prefix}if-none-match", "")),
        _moment(headers.get(f"{prefix}if-modified-since", "")),
        _moment(headers.get(f"{prefix}if-unmodified-since", "")),
    )


def _moment(text: str) -> float | None:
    """A date that cannot be read is as good as none (RFC 9110, section 13.1.3)."""
    try:
        return parse_http(text) if text else None
    except ValueError:
        return None


def read_md5(headers: Mapping[str, str]) -> str:
    """Content-MD5 in hex, "" without one.

    :raises S3Error: InvalidDigest.
    """
    text = headers.get("content-md5")
    if text is None:
        return ""
    try:
        digest = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise S3Error(Code.InvalidDigest) from error
    if len(digest) != 16:
        raise S3Error(Code.InvalidDigest)
    return digest.hex()


def read_checksums(headers: Mapping[str, str], trailers: tuple[str, ...] = ()) -> dict[str, str]:
    """The checksum that is stated in a header, comes as a trailer, or is to be computed (the last two as "").

    :raises S3Error: InvalidRequest: two are stated, or one is malformed.
    """
    stated = {name: headers[f"x-amz-checksum-{name}"].strip() for name in SIZES if f"x-amz-checksum-{name}" in headers}
    for name, text in stated.items():
        parse_checksum(name, text)
    found = {**dict.fromkeys(trailers, ""), **stated}
    if len(found) > 1:
        raise S3Error(Code.InvalidRequest, "Expecting a single x-amz-checksum- header.")
    algorithm = headers.get("x-amz-sdk-checksum-algorithm", headers.get("x-amz-checksum-algorithm", "")).lower()
    if algorithm:
        if algorithm not in SIZES:
            raise S3Error(Code.InvalidRequest, "The checksum algorithm is not known.")
        if found and algorithm not in found:
            raise S3Error(Code.InvalidRequest, "The checksum is not of the algorithm that is named.")
        found.setdefault(algorithm, "")
    return found


def read_checksum_type(headers: Mapping[str, str], algorithms: Mapping[str, str]) -> str:
    """x-amz-checksum-type: FULL_OBJECT or COMPOSITE, "" when not said.

    :raises S3Error: InvalidRequest: the algorithm does not allow it.
    """
    kind = headers.get("x-amz-checksum-type", "").upper()
    if kind and kind not in (FULL_OBJECT, COMPOSITE):
        raise S3Error(Code.InvalidRequest, "x-amz-checksum-type must be FULL_OBJECT or COMPOSITE.")
    name = next(iter(algorithms), "")
    if (kind == FULL_OBJECT and name.startswith("sha")) or (kind == COMPOSITE and name == "crc64nvme"):
        raise S3Error(Code.InvalidRequest, f"The {kind} checksum type cannot be used with the {name} algorithm.")
    return kind


def read_kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are kept with an object. `aws-chunked` is how the body travels, not how it is encoded."""
    found = {name: headers[name] for name in KEPT if name in headers}
    codings = [each.strip() for each in found.pop("content-encoding", "").split(",")]
    encoding = ", ".join(each for each in codings if each and each != "aws-chunked")
    return {**found, "content-encoding": encoding} if encoding else found


def read_user(headers: Mapping[str, str]) -> dict[str, str]:
    """User metadata: the headers x-amz-meta-*, without that prefix.

    :raises S3Error: MetadataTooLarge.
    """
    found = {
        name.removeprefix("x-amz-meta-"): value for name, value in headers.items() if name.startswith("x-amz-meta-")
    }
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogateescape")) for name, value in found.items())
    if size > MAX_USER_METADATA:
        raise S3Error(Code.MetadataTooLarge, MaxSizeAllowed=MAX_USER_METADATA, Size=size)
    return found


def check_tags(tags: list[tuple[str, str]], limit: int = MAX_TAGS) -> dict[str, str]:
    """Tags as a dict.

    :raises S3Error: InvalidTag: too many, too long, twice the same, or with other characters than are allowed.
    """
    if len(tags) > limit:
        raise S3Error(Code.InvalidTag, f"There may be {limit} tags at most.")
    for key, value in tags:
        allowed = 0 < len(key) <= 128 and len(value) <= 256 and not key.startswith("aws:")
        if not (allowed and _TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise S3Error(Code.InvalidTag, TagKey=key[:128])
    if len(dict(tags)) != len(tags):
        raise S3Error(Code.InvalidTag, "A tag's key is there twice.")
    return dict(tags)


def read_tags(headers: Mapping[str, str]) -> dict[str, str]:
    """The tags of the header x-amz-tagging (`a=1&b=2`).

    :raises S3Error: InvalidTag.
    """
    text = headers.get("x-amz-tagging", "")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_TAGS + 1)
    except ValueError as error:
        raise S3Error(Code.InvalidTag) from error
    return check_tags(pairs)


def check_lock(mode: str, until: str, now: float) -> dict[str, str]:
    """A retention as it is kept: "mode" and "until".

    :raises S3Error: InvalidArgument, InvalidRequest: unknown mode, no date, or one that has passed.
    """
    if mode not in MODES:
        raise S3Error(Code.InvalidArgument, "Unknown wormMode directive.")
    try:
        moment = parse_iso(until)
    except ValueError as error:
        raise S3Error(Code.InvalidArgument, "The retain until date must be an RFC 3339 date.") from error
    if moment <= now:
        raise S3Error(Code.InvalidArgument, "The retain until date must be in the future.")
    return {"mode": mode, "until": format_iso(moment)}


def read_lock(headers: Mapping[str, str], now: float) -> dict[str, str]:
    """The lock that x-amz-object-lock-* headers give an object; empty without them.

    :raises S3Error: InvalidArgument.
    """
    mode, until = headers.get("x-amz-object-lock-mode", ""), headers.get("x-amz-object-lock-retain-until-date", "")
    hold = headers.get("x-amz-object-lock-legal-hold", "")
    if bool(mode) != bool(until):
        raise S3Error(Code.InvalidArgument, "A lock needs both a mode and a date until which it holds.")
    found = check_lock(mode, until, now) if mode else {}
    if hold:
        if hold not in ("ON", "OFF"):
            raise S3Error(Code.InvalidArgument, "The legal hold must be ON or OFF.")
        found["hold"] = hold
    return found


def check_offered(headers: Mapping[str, str]) -> None:
    """Whether the request asks for something that is not offered, and would be kept otherwise than it expects.

    :raises S3Error: NotImplemented, InvalidEncryptionAlgorithmError, InvalidStorageClass, InvalidArgument.
    """
    if headers.get("x-amz-storage-class", "STANDARD") not in STORAGE_CLASSES:
        raise S3Error(Code.InvalidStorageClass)
    if "x-amz-write-offset-bytes" in headers:
        raise S3Error(Code.NotImplemented, "Appending is not offered.")
    if any(name.startswith("x-amz-server-side-encryption") for name in headers):
        raise S3Error(Code.InvalidEncryptionAlgorithmError)
    check_canned(headers.get("x-amz-acl", ""))
    if any(name.startswith("x-amz-grant-") for name in headers):
        raise S3Error(Code.NotImplemented, "Grants are not offered; the rights of keys and bucket policies decide.")


def check_canned(acl: str) -> None:
    """Whether a canned ACL is one that says what holds anyway: the owner has full control.

    :raises S3Error: NotImplemented, InvalidArgument.
    """
    if acl in ("", "private", "bucket-owner-full-control"):
        return
    if acl in ("public-read", "public-read-write", "authenticated-read", "bucket-owner-read", "aws-exec-read"):
        raise S3Error(Code.NotImplemented, "ACLs other than private are not offered; use a bucket policy.")
    raise S3Error(Code.InvalidArgument, "The canned ACL is not known.")


def read_put_options(headers: Mapping[str, str], payload: Payload, now: float) -> PutOptions:
    """All that a put's headers say. :param now: seconds since 1970.

    :raises S3Error: what is wrong with them; EntityTooLarge, MissingContentLength.
    """
    check_offered(headers)
    if payload.size is None:
        raise S3Error(Code.MissingContentLength)
    if payload.size > MAX_PUT:
        raise S3Error(Code.EntityTooLarge, MaxSizeAllowed=MAX_PUT)
    return PutOptions(
        size=payload.size,
        md5=read_md5(headers),
        sha256=payload.sha256,
        checksums=read_checksums(headers, payload.trailers),
        headers=read_kept(headers),
        user=read_user(headers),
        tags=read_tags(headers),
        lock=read_lock(headers, now),
        conditions=read_conditions(headers),
    )


def read_upload_options(headers: Mapping[str, str], now: float) -> PutOptions:
    """What the headers that begin an upload in parts say of the object to be.

    :raises S3Error: what is wrong with them.
    """
    check_offered(headers)
    checksums = read_checksums(headers)
    return PutOptions(
        checksums=dict.fromkeys(checksums, ""),
        headers=read_kept(headers),
        user=read_user(headers),
        tags=read_tags(headers),
        lock=read_lock(headers, now),
        checksum_type=read_checksum_type(headers, checksums),
    )


def read_source(headers: Mapping[str, str]) -> Source:
    """What x-amz-copy-source names: `[/]bucket/key[?versionId=ID]`, percent-encoded.

    :raises S3Error: InvalidArgument.
    """
    text = headers.get("x-amz-copy-source", "")
    path, _, query = text.partition("?")
    version_id = unquote(query.removeprefix("versionId=")) if query.startswith("versionId=") else None
    try:
        decoded = unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError as error:
        raise S3Error(Code.InvalidArgument, "x-amz-copy-source is not UTF-8.") from error
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not (bucket and slash and key) or (query and not version_id):
        raise S3Error(Code.InvalidArgument, "x-amz-copy-source must be bucket/key.")
    check_key(key)
    return Source(bucket, key, version_id, read_conditions(headers, "x-amz-copy-source-"))
