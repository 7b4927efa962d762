"""From a request's method, host, target and headers to the operation it asks for. Bodies are read elsewhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drystone.fleet.objects import PutOptions
from drystone.fleet.s3 import fields
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.keys import check_key
from drystone.fleet.s3.numbers import parse_number
from drystone.fleet.s3.payload import Payload

MAX_PAGE = 1000
MAX_PARTS = 10_000
BUCKET_SETTINGS = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "tagging",
        "versioning",
        "website",
    }
)
"""Queries that name a setting of a bucket; the gateway says which are offered."""
OBJECT_DETAILS = frozenset({"acl", "legal-hold", "retention", "tagging"})
_ATTRIBUTE_PAGES = ("part-number-marker", "max-parts")
_OVERRIDES = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, decoded.

    :ivar query: the first value of each name. :ivar headers: by lower-case names. :ivar now: seconds since 1970.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    payload: Payload
    now: float

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """An integer of the query, cut to `most`.

        :raises S3Error: InvalidArgument: it is none, or below `least`.
        """
        text = self.query.get(name, "")
        if not text:
            return default
        found = parse_number(text)
        if found is None or found < least:
            raise S3Error(Code.InvalidArgument, f"{name} must be an integer of at least {least}.", ArgumentName=name)
        return min(found, most)

    def version_id(self) -> str | None:
        """The version that is asked for, None for the latest.

        :raises S3Error: InvalidArgument.
        """
        found = self.query.get("versionId")
        if found == "":
            raise S3Error(Code.InvalidArgument, "Version id cannot be the empty string.", ArgumentName="versionId")
        if found is not None and not (found.isascii() and found.isprintable()):  # it is echoed in a header
            raise S3Error(Code.InvalidArgument, "Invalid version id specified.", ArgumentName="versionId")
        return found

    def url(self) -> bool:
        """Whether keys are to be sent percent-encoded."""
        kind = self.query.get("encoding-type", "")
        if kind not in ("", "url"):
            raise S3Error(Code.InvalidArgument, "Invalid Encoding Method specified in Request.")
        return kind == "url"

    def bypass(self) -> bool:
        """Whether governance is to be passed over."""
        return self.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


def _hosted_bucket(host: str, domain: str) -> str:
    """The bucket that the header `host` names, with or without a port; "" when it names none."""
    front, _, port = host.rpartition(":")
    name = (front if port.isdigit() else host).lower()
    return name[: -len(domain) - 1] if domain and name.endswith(f".{domain.lower()}") else ""


def split_name(host: str, path: str, domain: str) -> tuple[str, str]:
    """Bucket and key of a request; "" where there is none.

    :param host: the header. :param path: decoded. :param domain: of virtual-host style, "" for none.
    """
    if hosted := _hosted_bucket(host, domain):
        return hosted, path[1:]
    bucket, _, key = path[1:].partition("/")
    return bucket, key


def prefix_bucket(host: str, path: str, domain: str) -> str:
    """The path (still encoded) with the bucket in front, also where the host names it."""
    hosted = _hosted_bucket(host, domain)
    return f"/{hosted}{path}" if hosted else path


def encode_token(after: str) -> str:
    """A continuation token that stands for `after`."""
    return base64.urlsafe_b64encode(after.encode()).decode("ascii")


def decode_token(token: str) -> str:
    """What `encode_token` was given.

    :raises S3Error: InvalidArgument.
    """
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise S3Error(Code.InvalidArgument, "The continuation token provided is incorrect.") from error


def parse_operation(asked: Asked) -> op.Operation:
    """What is asked.

    :raises S3Error: MethodNotAllowed, NotImplemented, or what is wrong with an argument.
    """
    if not asked.bucket:
        table: Mapping[str, Callable[[Asked], op.Operation]] = {"GET": _list_buckets}
    elif not asked.key:
        table = _BUCKET
    else:
        check_key(asked.key)
        table = _OBJECT
    parse = table.get(asked.method)
    if parse is None:
        raise S3Error(Code.MethodNotAllowed, Method=asked.method, headers={"allow": ", ".join(table)})
    return parse(asked)


def _list_buckets(asked: Asked) -> op.Operation:
    return op.ListBuckets(
        "",
        prefix=asked.query.get("prefix", ""),
        after=decode_token(asked.query.get("continuation-token", "")),
        limit=asked.number("max-buckets", MAX_PARTS, 1, MAX_PARTS),
    )


def _setting(asked: Asked) -> str:
    return next((name for name in asked.query if name in BUCKET_SETTINGS), "")


def _get_bucket(asked: Asked) -> op.Operation:
    query = asked.query
    if what := _setting(asked):
        return op.GetSetting(asked.bucket, what=what)
    limit = "max-uploads" if "uploads" in query else "max-keys"
    number, url = asked.number(limit, MAX_PAGE, 0, MAX_PAGE), asked.url()
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker = query.get("key-marker", "")
    if "uploads" in query:
        return op.ListUploads(
            asked.bucket,
            prefix=prefix,
            delimiter=delimiter,
            key_marker=marker,
            upload_marker=query.get("upload-id-marker", ""),
            limit=number,
            url=url,
        )
    if "versions" in query:
        version_marker = query.get("version-id-marker", "")
        if version_marker and not marker:
            raise S3Error(Code.InvalidArgument, "A version-id marker cannot be specified without a key marker.")
        return op.ListVersions(
            asked.bucket,
            prefix=prefix,
            delimiter=delimiter,
            key_marker=marker,
            version_marker=version_marker,
            limit=number,
            url=url,
        )
    if query.get("list-type") != "2":
        marker = query.get("marker", "")
        return op.ListObjects(asked.bucket, prefix=prefix, delimiter=delimiter, after=marker, limit=number, url=url)
    token, start = query.get("continuation-token"), query.get("start-after", "")
    return op.ListObjects(
        asked.bucket,
        prefix=prefix,
        delimiter=delimiter,
        after=decode_token(token) if token else start,
        limit=number,
        url=url,
        version=2,
        token=token,
        start_after=start,
        fetch_owner=query.get("fetch-owner", "").lower() == "true",
    )


def _put_bucket(asked: Asked) -> op.Operation:
    if what := _setting(asked):
        return op.PutSetting(asked.bucket, what=what, canned=asked.headers.get("x-amz-acl", ""))
    fields.check_offered(asked.headers)
    lock = asked.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true"
    return op.CreateBucket(asked.bucket, lock=lock)


def _delete_bucket(asked: Asked) -> op.Operation:
    what = _setting(asked)
    return op.DeleteSetting(asked.bucket, what=what) if what else op.DeleteBucket(asked.bucket)


def _post_bucket(asked: Asked) -> op.Operation:
    if "delete" not in asked.query:
        raise S3Error(Code.NotImplemented, "Uploads by HTML forms are not offered.")
    return op.DeleteObjects(asked.bucket, bypass=asked.bypass())


def _detail(asked: Asked) -> str:
    return next((name for name in asked.query if name in OBJECT_DETAILS), "")


def _get_object(asked: Asked) -> op.Operation:
    query, version_id = asked.query, asked.version_id()
    if what := _detail(asked):
        return op.GetDetail(asked.bucket, asked.key, what=what, version_id=version_id)
    if "uploadId" in query:
        return op.ListParts(
            asked.bucket,
            asked.key,
            upload_id=query["uploadId"],
            after=asked.number("part-number-marker", 0, 0, MAX_PARTS),
            limit=asked.number("max-parts", MAX_PAGE, 0, MAX_PAGE),
            url=asked.url(),
        )
    if "attributes" in query:
        header = asked.headers.get("x-amz-object-attributes", "")
        after, limit = (parse_number(asked.headers.get(f"x-amz-{name}", "")) for name in _ATTRIBUTE_PAGES)
        return op.GetAttributes(
            asked.bucket,
            asked.key,
            version_id=version_id,
            wanted=tuple(each.strip() for each in header.split(",") if each.strip()),
            after=after or 0,
            limit=MAX_PAGE if limit is None else min(limit, MAX_PAGE),
        )
    if "torrent" in query:
        raise S3Error(Code.NotImplemented)
    return _read(asked, version_id)


def _head_object(asked: Asked) -> op.Operation:
    return _read(asked, asked.version_id())


def _read(asked: Asked, version_id: str | None) -> op.Operation:
    part = asked.number("partNumber", 0, 1, MAX_PARTS)
    if part and "range" in asked.headers:
        raise S3Error(Code.InvalidRequest, "Cannot specify both Range header and partNumber query parameter.")
    overrides = tuple((header, asked.query[name]) for name, header in _OVERRIDES.items() if name in asked.query)
    if any(not value.isprintable() for _, value in overrides):
        raise S3Error(Code.InvalidArgument, "A response header may not have control characters.")
    return op.GetObject(
        asked.bucket,
        asked.key,
        version_id=version_id,
        range=asked.headers.get("range", ""),
        if_range=asked.headers.get("if-range", ""),
        part=part,
        conditions=fields.read_conditions(asked.headers),
        overrides=overrides,
        checksums=asked.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED",
        head=asked.method == "HEAD",
    )


def _put_object(asked: Asked) -> op.Operation:
    query, headers = asked.query, asked.headers
    if what := _detail(asked):
        canned = headers.get("x-amz-acl", "")
        return op.PutDetail(
            asked.bucket,
            asked.key,
            what=what,
            version_id=asked.version_id(),
            bypass=asked.bypass(),
            canned=canned,
        )
    copied = "x-amz-copy-source" in headers
    if "uploadId" in query or "partNumber" in query:
        return _put_part(asked, copied=copied)
    if not copied:
        options = fields.read_put_options(headers, asked.payload, asked.now)
        return op.PutObject(asked.bucket, asked.key, options=options)
    directives = [headers.get(f"x-amz-{name}-directive", "COPY").upper() for name in ("metadata", "tagging")]
    if any(each not in ("COPY", "REPLACE") for each in directives):
        raise S3Error(Code.InvalidArgument, "A directive must be COPY or REPLACE.")
    return op.CopyObject(
        asked.bucket,
        asked.key,
        source=fields.read_source(headers),
        options=fields.read_upload_options(headers, asked.now),
        conditions=fields.read_conditions(headers),
        replace=directives[0] == "REPLACE",
        replace_tags=directives[1] == "REPLACE",
    )


def _put_part(asked: Asked, *, copied: bool) -> op.Operation:
    upload_id, number = asked.query.get("uploadId", ""), asked.number("partNumber", 0, 1, MAX_PARTS + 1)
    if not upload_id or not 1 <= number <= MAX_PARTS:
        raise S3Error(Code.InvalidArgument, f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive.")
    if not copied:
        options = fields.read_put_options(asked.headers, asked.payload, asked.now)
        return op.PutPart(asked.bucket, asked.key, upload_id=upload_id, number=number, options=options)
    return op.CopyPart(
        asked.bucket,
        asked.key,
        upload_id=upload_id,
        number=number,
        source=fields.read_source(asked.headers),
        range=asked.headers.get("x-amz-copy-source-range", ""),
    )


def _post_object(asked: Asked) -> op.Operation:
    if "uploads" in asked.query:
        options = fields.read_upload_options(asked.headers, asked.now)
        return op.BeginUpload(asked.bucket, asked.key, options=options)
    if "uploadId" in asked.query:
        return op.CompleteUpload(asked.bucket, asked.key, upload_id=asked.query["uploadId"], options=_completion(asked))
    raise S3Error(Code.NotImplemented)


def _completion(asked: Asked) -> PutOptions:
    text = asked.headers.get("x-amz-mp-object-size", "")
    size = parse_number(text)
    if text and size is None:
        raise S3Error(Code.InvalidArgument, "x-amz-mp-object-size must be a number.")
    checksums = fields.read_checksums(
        {k: v.partition("-")[0] if k.startswith("x-amz-checksum-") else v for k, v in asked.headers.items()}
    )
    return PutOptions(
        size=size,
        checksums=checksums,
        conditions=fields.read_conditions(asked.headers),
        checksum_type=fields.read_checksum_type(asked.headers, checksums),
    )


def _delete_object(asked: Asked) -> op.Operation:
    version_id = asked.version_id()
    if what := _detail(asked):
        return op.DeleteDetail(asked.bucket, asked.key, what=what, version_id=version_id)
    if any(name.startswith("x-amz-if-match-") for name in asked.headers):
        raise S3Error(Code.NotImplemented, "Only the ETag is offered as a condition of a deletion.")
    if "uploadId" in asked.query:
        return op.AbortUpload(asked.bucket, asked.key, upload_id=asked.query["uploadId"])
    return op.DeleteObject(
        asked.bucket,
        asked.key,
        version_id=version_id,
        conditions=fields.read_conditions(asked.headers),
        bypass=asked.bypass(),
    )


def _head_bucket(asked: Asked) -> op.Operation:
    return op.HeadBucket(asked.bucket)


_BUCKET: Mapping[str, Callable[[Asked], op.Operation]] = {
    "GET": _get_bucket,
    "HEAD": _head_bucket,
    "PUT": _put_bucket,
    "DELETE": _delete_bucket,
    "POST": _post_bucket,
}
_OBJECT: Mapping[str, Callable[[Asked], op.Operation]] = {
    "GET": _get_object,
    "HEAD": _head_object,
    "PUT": _put_object,
    "DELETE": _delete_object,
    "POST": _post_object,
}
