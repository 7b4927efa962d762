"""Uploads in parts."""

from __future__ import annotations

import dataclasses

from drystone.fleet.documents import Bucket
from drystone.fleet.gateway.context import Context, empty_response, xml_response
from drystone.fleet.gateway.listings import coder, encoding_elements, owner_element, prefix_elements
from drystone.fleet.gateway.messages import Response
from drystone.fleet.gateway.reading import checksum_elements
from drystone.fleet.gateway.writing import find_source, lock_options, source_body, source_version_header
from drystone.fleet.objects import ObjectInfo, PartInfo, PutOptions, UploadInfo
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3 import xml
from drystone.fleet.s3.bodies import Part, read_completion
from drystone.fleet.s3.checksums import FULL_OBJECT, check_complete, combine_etags
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.moments import format_iso
from drystone.fleet.s3.payload import MAX_PUT
from drystone.fleet.s3.ranges import resolve_copy_range

MIN_PART = 5 * 1024**2
"""Bytes of every part but the last."""


def _algorithm(options: PutOptions) -> str:
    return next(iter(options.checksums), "")


async def begin_upload(context: Context, operation: op.BeginUpload) -> Response:
    """A new upload."""
    name = context.bucket.name
    upload = await context.objects.begin_upload(name, operation.key, lock_options(context, operation.options))
    algorithm = _algorithm(operation.options)
    headers = {"x-amz-checksum-algorithm": algorithm.upper()} if algorithm else {}
    if algorithm and operation.options.checksum_type:
        headers["x-amz-checksum-type"] = operation.options.checksum_type
    answer: list[tuple[str, xml.Value]] = [
        ("Bucket", name),
        ("Key", operation.key),
        ("UploadId", upload.upload_id),
    ]
    return xml_response("InitiateMultipartUploadResult", answer, headers)


async def put_part(context: Context, operation: op.PutPart) -> Response:
    """A part, from the body."""
    part = await context.objects.put_part(
        context.bucket.name,
        operation.key,
        operation.upload_id,
        operation.number,
        context.body,
        operation.options,
    )
    checksums = {f"x-amz-checksum-{name}": value for name, value in part.checksums.items()}
    return empty_response(200, {"etag": f'"{part.etag}"', **checksums})


async def copy_part(context: Context, operation: op.CopyPart) -> Response:
    """A part, from an object."""
    name, source = context.bucket.name, operation.source
    bucket, info = await find_source(context, source)
    begin, end = resolve_copy_range(operation.range, info.size)
    if end - begin > MAX_PUT:
        raise S3Error(Code.EntityTooLarge, MaxSizeAllowed=MAX_PUT)
    upload, _ = await context.objects.list_parts(name, operation.key, operation.upload_id)
    options = PutOptions(size=end - begin, checksums=dict.fromkeys(upload.options.checksums, ""))
    return await context.patiently(_put_copy(context, operation, bucket, info, begin, options))


async def _put_copy(
    context: Context, operation: op.CopyPart, source: Bucket, info: ObjectInfo, begin: int, options: PutOptions
) -> Response:
    body = await source_body(context, source.name, info, begin, begin + (options.size or 0))
    part = await context.objects.put_part(
        context.bucket.name, operation.key, operation.upload_id, operation.number, body, options
    )
    answer: list[tuple[str, xml.Value]] = [
        ("LastModified", format_iso(part.modified)),
        ("ETag", f'"{part.etag}"'),
        *checksum_elements(part.checksums),
    ]
    return xml_response("CopyPartResult", answer, source_version_header(source, info))


async def complete_upload(context: Context, operation: op.CompleteUpload) -> Response:
    """One object out of the parts. Asked again after it was done, the answer is the same."""
    # Its x-amz-checksum-* headers are the object's, not the document's.
    wanted = read_completion(await context.read_document(checksums=False))
    return await context.patiently(_answer_completion(context, operation, wanted))


async def _answer_completion(context: Context, operation: op.CompleteUpload, wanted: tuple[Part, ...]) -> Response:
    try:
        info = await _complete(context, operation, wanted)
    except S3Error as error:
        done = await _completed(context, operation, wanted) if error.code is Code.NoSuchUpload else None
        if done is None:
            raise
        info = done
    name, host = context.bucket.name, context.asked.headers.get("host", "")
    answer: list[tuple[str, xml.Value]] = [
        ("Location", f"{'https' if context.secure else 'http'}://{host}/{name}/{operation.key}"),
        ("Bucket", name),
        ("Key", operation.key),
        ("ETag", f'"{info.etag}"'),
        *checksum_elements(info.checksums, info.checksum_type),
    ]
    return xml_response("CompleteMultipartUploadResult", answer, context.version_header(info.version_id))


async def _complete(context: Context, operation: op.CompleteUpload, wanted: tuple[Part, ...]) -> ObjectInfo:
    name, given = context.bucket.name, operation.options
    upload, stored = await context.objects.list_parts(name, operation.key, operation.upload_id)
    parts = _select(wanted, stored)
    if given.size is not None and given.size != sum(part.size for part in parts):
        raise S3Error(Code.InvalidRequest, "x-amz-mp-object-size is not the sum of the parts' sizes.")
    algorithm = _algorithm(upload.options)
    if {name for name, text in given.checksums.items() if text} - {algorithm}:
        raise S3Error(Code.InvalidRequest, "The upload was begun without the checksum algorithm that is stated.")
    kind = upload.options.checksum_type
    if given.checksum_type and kind and given.checksum_type != kind:
        raise S3Error(Code.InvalidRequest, "The checksum type is not the upload's.")
    sums = [(part.checksums.get(algorithm, ""), part.size) for part in parts]
    checksums, kind = check_complete(given, algorithm, kind or given.checksum_type, sums)
    options = dataclasses.replace(given, checksums=checksums, checksum_type=kind)
    chosen = tuple((part.number, part.etag) for part in parts)
    return await context.objects.complete_upload(name, operation.key, operation.upload_id, chosen, options)


def _select(wanted: tuple[Part, ...], stored: tuple[PartInfo, ...]) -> list[PartInfo]:
    """The stored parts that are wanted.

    :raises S3Error: InvalidPart, EntityTooSmall.
    """
    by_number = {part.number: part for part in stored}
    found = []
    for each in wanted:
        part = by_number.get(each.number)
        if part is None or part.etag != each.etag:
            raise S3Error(Code.InvalidPart, PartNumber=each.number)
        if any(part.checksums.get(name) != text for name, text in each.checksums.items()):
            raise S3Error(Code.InvalidPart, PartNumber=each.number)
        found.append(part)
    for part in found[:-1]:
        if part.size < MIN_PART:
            raise S3Error(Code.EntityTooSmall, PartNumber=part.number, MinSizeAllowed=MIN_PART)
    return found


async def _completed(context: Context, operation: op.CompleteUpload, wanted: tuple[Part, ...]) -> ObjectInfo | None:
    """The object, if it is what this very completion makes: an earlier try's answer was lost."""
    try:
        info = await context.objects.head(context.bucket.name, operation.key)
        etag = combine_etags([part.etag for part in wanted])
    except (S3Error, ValueError):
        return None
    return info if info.etag == etag and not info.delete_marker else None


async def abort_upload(context: Context, operation: op.AbortUpload) -> Response:
    """Forget an upload and its parts."""
    await context.objects.abort_upload(context.bucket.name, operation.key, operation.upload_id)
    return empty_response(204)


async def list_parts(context: Context, operation: op.ListParts) -> Response:
    """The parts of an upload."""
    bucket, code = context.bucket, coder(url=operation.url)
    upload, stored = await context.objects.list_parts(bucket.name, operation.key, operation.upload_id)
    left = [part for part in sorted(stored, key=lambda part: part.number) if part.number > operation.after]
    shown = left[: operation.limit]
    algorithm = _algorithm(upload.options)
    answer: list[tuple[str, xml.Value]] = [
        ("Bucket", bucket.name),
        *encoding_elements(url=operation.url),
        ("Key", code(operation.key)),
        ("UploadId", operation.upload_id),
        ("Initiator", owner_element(bucket.owner)[1]),
        owner_element(bucket.owner),
        ("StorageClass", upload.options.headers.get("x-amz-storage-class", "STANDARD")),
        ("PartNumberMarker", operation.after),
        ("NextPartNumberMarker", shown[-1].number if shown else 0),
        ("MaxParts", operation.limit),
        ("IsTruncated", len(shown) < len(left)),
        ("ChecksumAlgorithm", algorithm.upper() or None),
        ("ChecksumType", (upload.options.checksum_type or FULL_OBJECT) if algorithm else None),
    ]
    answer += [("Part", _part(part)) for part in shown]
    return xml_response("ListPartsResult", answer)


def _part(part: PartInfo) -> list[tuple[str, xml.Value]]:
    return [
        ("PartNumber", part.number),
        ("LastModified", format_iso(part.modified)),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
        *checksum_elements(part.checksums),
    ]


async def list_uploads(context: Context, operation: op.ListUploads) -> Response:
    """The uploads that are under way, ordered by key and by when they began."""
    bucket, code = context.bucket, coder(url=operation.url)
    uploads = await context.objects.list_uploads(bucket.name, operation.prefix)
    ordered = sorted(uploads, key=lambda each: (each.key.encode(), each.begun, each.upload_id))
    page = _page_uploads(operation, ordered)
    answer: list[tuple[str, xml.Value]] = [
        ("Bucket", bucket.name),
        ("KeyMarker", code(operation.key_marker)),
        ("UploadIdMarker", operation.upload_marker),
        ("NextKeyMarker", code(page.next_key) if page.truncated else None),
        ("NextUploadIdMarker", page.next_upload if page.truncated else None),
        ("Prefix", code(operation.prefix)),
        ("Delimiter", code(operation.delimiter) if operation.delimiter else None),
        ("MaxUploads", operation.limit),
        ("IsTruncated", page.truncated),
        *encoding_elements(url=operation.url),
    ]
    for each in page.uploads:
        upload: list[tuple[str, xml.Value]] = [
            ("Key", code(each.key)),
            ("UploadId", each.upload_id),
            ("Initiator", owner_element(bucket.owner)[1]),
            owner_element(bucket.owner),
            ("StorageClass", each.options.headers.get("x-amz-storage-class", "STANDARD")),
            ("Initiated", format_iso(each.begun)),
        ]
        answer.append(("Upload", upload))
    answer += prefix_elements(page.prefixes, code)
    return xml_response("ListMultipartUploadsResult", answer)


@dataclasses.dataclass(frozen=True, slots=True)
class _UploadPage:
    uploads: tuple[UploadInfo, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    next_key: str
    next_upload: str


def _after_marker(operation: op.ListUploads, ordered: list[UploadInfo]) -> list[UploadInfo]:
    """What follows the markers: in the marker's key, what follows the upload of that id."""
    marker, key = operation.upload_marker, operation.key_marker.encode()
    if not key:
        return ordered
    if marker:
        ids = [each.upload_id for each in ordered if each.key.encode() == key]
        skipped = set(ids[: ids.index(marker) + 1]) if marker in ids else set(ids)
        return [
            each
            for each in ordered
            if each.key.encode() > key or (each.key.encode() == key and each.upload_id not in skipped)
        ]
    return [each for each in ordered if each.key.encode() > key]


def _page_uploads(operation: op.ListUploads, ordered: list[UploadInfo]) -> _UploadPage:
    uploads: list[UploadInfo] = []
    prefixes: list[str] = []
    next_key = next_upload = ""
    delimiter, begin = operation.delimiter, len(operation.prefix)
    for each in _after_marker(operation, ordered):
        cut = each.key.find(delimiter, begin) if delimiter else -1
        group = each.key[: cut + len(delimiter)] if cut >= 0 else ""
        if group and (group == operation.key_marker or (prefixes and prefixes[-1] == group)):
            continue
        if len(uploads) + len(prefixes) >= operation.limit:
            return _UploadPage(tuple(uploads), tuple(prefixes), operation.limit > 0, next_key, next_upload)
        if group:
            prefixes.append(group)
            next_key, next_upload = group, ""
        else:
            uploads.append(each)
            next_key, next_upload = each.key, each.upload_id
    return _UploadPage(tuple(uploads), tuple(prefixes), False, "", "")
