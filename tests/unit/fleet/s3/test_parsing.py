"""From a request to its operation."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.s3 import fields
from drystone.fleet.s3 import operations as op
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.parsing import Asked, decode_token, encode_token, parse_operation, split_name
from drystone.fleet.s3.payload import MAX_PUT, Payload
from drystone.fleet.s3.target import decode_query
from drystone.testing.fleet.refusals import refusal

NOW = 1_790_000_000.0


def parse(
    method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, size: int = 0
) -> op.Operation:
    bucket, key = split_name("host", path, "")
    return parse_operation(Asked(method, bucket, key, decode_query(query), headers or {}, Payload(size), NOW))


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "kind"),
    [
        ("GET", "/", "", {}, op.ListBuckets),
        ("PUT", "/b", "", {}, op.CreateBucket),
        ("PUT", "/b/", "", {}, op.CreateBucket),
        ("DELETE", "/b", "", {}, op.DeleteBucket),
        ("HEAD", "/b", "", {}, op.HeadBucket),
        ("GET", "/b", "", {}, op.ListObjects),
        ("GET", "/b", "list-type=2", {}, op.ListObjects),
        ("GET", "/b", "versions", {}, op.ListVersions),
        ("GET", "/b", "uploads", {}, op.ListUploads),
        ("POST", "/b", "delete", {}, op.DeleteObjects),
        ("GET", "/b", "versioning", {}, op.GetSetting),
        ("PUT", "/b", "policy=", {}, op.PutSetting),
        ("DELETE", "/b", "tagging", {}, op.DeleteSetting),
        ("GET", "/b/k", "x-id=GetObject", {}, op.GetObject),
        ("HEAD", "/b/k", "", {}, op.GetObject),
        ("PUT", "/b/k", "", {}, op.PutObject),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "b/o"}, op.CopyObject),
        ("DELETE", "/b/k", "", {}, op.DeleteObject),
        ("POST", "/b/k", "uploads", {}, op.BeginUpload),
        ("PUT", "/b/k", "uploadId=u&partNumber=1", {}, op.PutPart),
        ("PUT", "/b/k", "uploadId=u&partNumber=1", {"x-amz-copy-source": "b/o"}, op.CopyPart),
        ("POST", "/b/k", "uploadId=u", {}, op.CompleteUpload),
        ("DELETE", "/b/k", "uploadId=u", {}, op.AbortUpload),
        ("GET", "/b/k", "uploadId=u", {}, op.ListParts),
        ("GET", "/b/k", "attributes", {}, op.GetAttributes),
        ("GET", "/b/k", "legal-hold", {}, op.GetDetail),
        ("PUT", "/b/k", "retention", {}, op.PutDetail),
        ("DELETE", "/b/k", "tagging&versionId=v", {}, op.DeleteDetail),
    ],
)
def test_operations(method: str, path: str, query: str, headers: dict[str, str], kind: type[op.Operation]) -> None:
    operation = parse(method, path, query, headers)
    assert type(operation) is kind
    assert (operation.bucket, operation.key) == (path.strip("/").split("/")[0], "k" if path.endswith("/k") else "")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "code"),
    [
        ("POST", "/", "", {}, Code.MethodNotAllowed),
        ("PATCH", "/b/k", "", {}, Code.MethodNotAllowed),
        ("POST", "/b", "", {}, Code.NotImplemented),
        ("POST", "/b/k", "restore", {}, Code.NotImplemented),
        ("GET", "/b/k", "torrent", {}, Code.NotImplemented),
        ("GET", "/b/k", "versionId=", {}, Code.InvalidArgument),
        ("DELETE", "/b/k", "versionId=a%0D%0Aset-cookie:b", {}, Code.InvalidArgument),
        ("GET", "/b/k", "partNumber=0", {}, Code.InvalidArgument),
        ("GET", "/b/k", "partNumber=1", {"range": "bytes=0-1"}, Code.InvalidRequest),
        ("GET", "/b/k", "response-content-type=a%0Ab", {}, Code.InvalidArgument),
        ("GET", "/b", "max-keys=-1", {}, Code.InvalidArgument),
        ("GET", "/b", "max-keys=x", {}, Code.InvalidArgument),
        ("GET", "/b", "max-keys=%D9%A1", {}, Code.InvalidArgument),
        ("GET", "/b", "max-keys=" + "9" * 5000, {}, Code.InvalidArgument),
        ("GET", "/b", "encoding-type=x", {}, Code.InvalidArgument),
        ("GET", "/b", "versions&version-id-marker=v", {}, Code.InvalidArgument),
        ("GET", "/b", "list-type=2&continuation-token=*", {}, Code.InvalidArgument),
        ("PUT", "/b/k", "partNumber=1", {}, Code.InvalidArgument),
        ("PUT", "/b/k", "uploadId=u&partNumber=10001", {}, Code.InvalidArgument),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "b"}, Code.InvalidArgument),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "/b/%FF"}, Code.InvalidArgument),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "b/k?x=y"}, Code.InvalidArgument),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "b/k", "x-amz-metadata-directive": "x"}, Code.InvalidArgument),
        ("PUT", "/b/k", "", {"x-amz-checksum-crc32": "x"}, Code.InvalidRequest),
        (
            "PUT",
            "/b/k",
            "",
            {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="},
            Code.InvalidRequest,
        ),
        ("PUT", "/b/k", "", {"x-amz-sdk-checksum-algorithm": "MD4"}, Code.InvalidRequest),
        ("PUT", "/b/k", "", {"x-amz-object-lock-mode": "GOVERNANCE"}, Code.InvalidArgument),
        ("PUT", "/b/k", "", {"x-amz-tagging": "a=1&a=2"}, Code.InvalidTag),
        ("PUT", "/b/k", "", {"x-amz-tagging": "&".join(f"a{n}=1" for n in range(11))}, Code.InvalidTag),
        ("PUT", "/b/k", "", {"x-amz-tagging": "a=%FF"}, Code.InvalidTag),
        ("PUT", "/b/k", "", {"x-amz-server-side-encryption": "AES256"}, Code.InvalidEncryptionAlgorithmError),
        ("PUT", "/b/k", "", {"x-amz-grant-read": "id=x"}, Code.NotImplemented),
        ("PUT", "/b/k", "", {"x-amz-write-offset-bytes": "5"}, Code.NotImplemented),
        ("PUT", "/b/k", "", {"x-amz-storage-class": "CHEAP"}, Code.InvalidStorageClass),
        ("DELETE", "/b/k", "", {"x-amz-if-match-size": "5"}, Code.NotImplemented),
        ("PUT", "/b/k", "", {"content-md5": "x"}, Code.InvalidDigest),
        (
            "POST",
            "/b/k",
            "uploads",
            {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"},
            Code.InvalidRequest,
        ),
        ("POST", "/b/k", "uploadId=u", {"x-amz-mp-object-size": "x"}, Code.InvalidArgument),
    ],
)
def test_refused_requests(method: str, path: str, query: str, headers: dict[str, str], code: Code) -> None:
    assert refusal(parse, method, path, query, headers) is code


def test_a_put_says_its_length() -> None:
    assert refusal(fields.read_put_options, {}, Payload(None), NOW) is Code.MissingContentLength
    assert refusal(parse, "PUT", "/b/k", size=MAX_PUT + 1) is Code.EntityTooLarge
    assert isinstance(parse("PUT", "/b/k", size=MAX_PUT), op.PutObject)


def test_what_a_listing_asks() -> None:
    operation = parse(
        "GET", "/b", "list-type=2&prefix=p%2F&delimiter=%2F&max-keys=5000&encoding-type=url&start-after=s"
    )
    assert isinstance(operation, op.ListObjects)
    assert (operation.prefix, operation.delimiter, operation.limit, operation.url) == ("p/", "/", 1000, True)
    assert (operation.after, operation.start_after, operation.token) == ("s", "s", None)
    token = encode_token("\u00fc/\n")
    operation = parse("GET", "/b", f"list-type=2&continuation-token={token}&start-after=s")
    assert isinstance(operation, op.ListObjects)
    assert (operation.after, operation.token) == ("\u00fc/\n", token)


@given(st.text(max_size=50))
def test_tokens(text: str) -> None:
    if "\0" not in text and text.isprintable():
        assert decode_token(encode_token(text)) == text
    try:
        decode_token(text)
    except S3Error:
        return


@pytest.mark.parametrize(
    ("host", "path", "wanted"),
    [
        ("s3.example", "/b/k/l", ("b", "k/l")),
        ("b.s3.example", "/k/l", ("b", "k/l")),
        ("B.s3.example:9000", "/", ("b", "")),
        ("b.c.s3.example", "/k", ("b.c", "k")),
        ("other", "/b/k", ("b", "k")),
        ("xs3.example", "/b", ("b", "")),
        ("[::1]:80", "//k", ("", "k")),
    ],
)
def test_bucket_and_key(host: str, path: str, wanted: tuple[str, str]) -> None:
    assert split_name(host, path, "s3.example") == wanted
