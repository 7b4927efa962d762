"""Listings: buckets, objects, versions."""

from __future__ import annotations

from collections.abc import Callable

from drystone.fleet.gateway.access import may
from drystone.fleet.gateway.context import Context, xml_response
from drystone.fleet.gateway.messages import Response
from drystone.fleet.gateway.reading import storage_class
from drystone.fleet.objects import ObjectInfo, Page
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import xml
from drystone.fleet.s3.moments import format_iso
from drystone.fleet.s3.parsing import encode_token
from drystone.fleet.s3.target import encode

_EMPTY = Page((), (), "")


def coder(*, url: bool) -> Callable[[str], str]:
    """How keys are written: percent-encoded for `encoding-type=url`, otherwise as they are."""
    return (lambda text: encode(text, slashes=True)) if url else (lambda text: text)


def owner_element(owner: str) -> tuple[str, xml.Value]:
    """The owner of a bucket, and of all that is in it."""
    return "Owner", [("ID", owner), ("DisplayName", owner)]


def prefix_elements(prefixes: tuple[str, ...], code: Callable[[str], str]) -> list[tuple[str, xml.Value]]:
    """CommonPrefixes."""
    return [("CommonPrefixes", [("Prefix", code(each))]) for each in prefixes]


def encoding_elements(*, url: bool) -> list[tuple[str, xml.Value]]:
    """EncodingType, if keys are encoded."""
    return [("EncodingType", "url")] if url else []


async def list_buckets(context: Context, operation: op.ListBuckets) -> Response:
    """The buckets that the key may read."""
    found = [
        each
        for each in await context.catalog.buckets()
        if may(context.key, "read", each.name)
        and each.name.startswith(operation.prefix)
        and each.name > operation.after
    ]
    shown = found[: operation.limit]
    answer: list[tuple[str, xml.Value]] = [
        owner_element(context.key.access_key),
        (
            "Buckets",
            [("Bucket", [("Name", each.name), ("CreationDate", format_iso(each.made))]) for each in shown],
        ),
    ]
    if len(shown) < len(found):
        answer.append(("ContinuationToken", encode_token(shown[-1].name)))
    if operation.prefix:
        answer.append(("Prefix", operation.prefix))
    return xml_response("ListAllMyBucketsResult", answer)


async def list_objects(context: Context, operation: op.ListObjects) -> Response:
    """A page of a bucket's keys."""
    bucket, code = context.bucket, coder(url=operation.url)
    page = _EMPTY
    if operation.limit:
        page = await context.objects.list(
            bucket.name, operation.prefix, operation.delimiter, operation.after, operation.limit
        )
    owner = operation.version == 1 or operation.fetch_owner
    answer: list[tuple[str, xml.Value]] = [("Name", bucket.name), ("Prefix", code(operation.prefix))]
    answer += _marks(operation, page, code)
    answer += [
        ("MaxKeys", operation.limit),
        ("Delimiter", code(operation.delimiter) if operation.delimiter else None),
        ("IsTruncated", bool(page.after)),
        *encoding_elements(url=operation.url),
    ]
    answer += [("Contents", _content(info, code, bucket.owner if owner else None)) for info in page.objects]
    answer += prefix_elements(page.prefixes, code)
    return xml_response("ListBucketResult", answer)


def _marks(operation: op.ListObjects, page: Page, code: Callable[[str], str]) -> list[tuple[str, xml.Value]]:
    if operation.version == 1:
        following = code(page.after) if page.after and operation.delimiter else None
        return [("Marker", code(operation.after)), ("NextMarker", following)]
    return [
        ("ContinuationToken", operation.token),
        ("StartAfter", code(operation.start_after) if operation.start_after else None),
        ("NextContinuationToken", encode_token(page.after) if page.after else None),
        ("KeyCount", len(page.objects) + len(page.prefixes)),
    ]


def _content(info: ObjectInfo, code: Callable[[str], str], owner: str | None) -> list[tuple[str, xml.Value]]:
    return [
        ("Key", code(info.key)),
        ("LastModified", format_iso(info.modified)),
        ("ETag", f'"{info.etag}"'),
        *(("ChecksumAlgorithm", name.upper()) for name in info.checksums),
        ("Size", info.size),
        *([owner_element(owner)] if owner is not None else []),
        ("StorageClass", storage_class(info)),
    ]


async def list_versions(context: Context, operation: op.ListVersions) -> Response:
    """A page of a bucket's versions and delete markers."""
    bucket, code = context.bucket, coder(url=operation.url)
    after = operation.key_marker
    if operation.version_marker:
        after = f"{after}\0{operation.version_marker}"
    page = _EMPTY
    if operation.limit:
        page = await context.objects.list(
            bucket.name, operation.prefix, operation.delimiter, after, operation.limit, versions=True
        )
    next_key, _, next_version = page.after.partition("\0")
    answer: list[tuple[str, xml.Value]] = [
        ("Name", bucket.name),
        ("Prefix", code(operation.prefix)),
        ("KeyMarker", code(operation.key_marker)),
        ("VersionIdMarker", operation.version_marker),
        ("NextKeyMarker", code(next_key) if next_key else None),
        ("NextVersionIdMarker", next_version or None),
        ("MaxKeys", operation.limit),
        ("Delimiter", code(operation.delimiter) if operation.delimiter else None),
        ("IsTruncated", bool(page.after)),
        *encoding_elements(url=operation.url),
    ]
    for info in page.objects:
        named: list[tuple[str, xml.Value]] = [("VersionId", info.version_id), ("IsLatest", info.latest)]
        if info.delete_marker:
            modified = ("LastModified", format_iso(info.modified))
            answer.append(("DeleteMarker", [("Key", code(info.key)), *named, modified, owner_element(bucket.owner)]))
        else:
            answer.append(("Version", [*_content(info, code, bucket.owner), *named]))
    answer += prefix_elements(page.prefixes, code)
    return xml_response("ListVersionsResult", answer)
