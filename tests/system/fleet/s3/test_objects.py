"""Objects, as boto3 puts, gets, copies and removes them."""

from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drystone.fleet.documents import Key
from drystone.testing.fleet.bodies import make_bytes
from drystone.testing.fleet.gateway_server import ADMIN
from drystone.testing.fleet.refusals import client_refusal as refusal

MIB = 1 << 20


def body_of(response: Any) -> bytes:
    data: bytes = response["Body"].read()
    return data


@pytest.mark.parametrize("size", [0, 1, 1000, 3 * MIB + 1])
def test_put_and_get(s3: Any, bucket: str, size: int) -> None:
    data = make_bytes(size)
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    put = s3.put_object(
        Bucket=bucket,
        Key="host/dir/file",
        Body=data,
        ContentType="text/x",
        Metadata={"name": "value"},
        CacheControl="no",
    )
    assert put["ETag"] == etag
    got = s3.get_object(Bucket=bucket, Key="host/dir/file")
    assert body_of(got) == data
    assert (got["ETag"], got["ContentType"], got["Metadata"]) == (etag, "text/x", {"name": "value"})
    assert (got["ContentLength"], got["CacheControl"], got["AcceptRanges"]) == (size, "no", "bytes")
    assert "VersionId" not in got
    head = s3.head_object(Bucket=bucket, Key="host/dir/file")
    assert (head["ETag"], head["ContentLength"], head["LastModified"]) == (etag, size, got["LastModified"])


@pytest.mark.parametrize(
    "key", ["a b", "\u00fc/\u4e2d", "+", "a//b", "../x", "'\"<>&", "%41", "h/?#", "\u00ae\u008a-", "_ _", "x" * 1024]
)
def test_keys_of_all_kinds(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert body_of(s3.get_object(Bucket=bucket, Key=key)) == b"x"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert [each["Key"] for each in s3.list_objects(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})["Deleted"] == [{"Key": key}]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key)


@pytest.mark.parametrize("kind", ["text/html; charset=ISO-8859-4", 'multipart/mixed; boundary="a b"; x=y', "nonsense"])
def test_headers_come_back_as_they_were_given(s3: Any, bucket: str, kind: str) -> None:
    given = {
        "ContentType": kind,
        "ContentDisposition": 'attachment; filename="\u00e9.txt"',
        "ContentEncoding": "deflate, gzip",
        "ContentLanguage": "de, en",
        "CacheControl": "public, max-age=14400",
    }
    s3.put_object(Bucket=bucket, Key="key", Body=b"data", **given)
    for got in (s3.get_object(Bucket=bucket, Key="key"), s3.head_object(Bucket=bucket, Key="key")):
        headers = got["ResponseMetadata"]["HTTPHeaders"]
        assert headers["content-type"] == kind
        assert {name: got[name] for name in given if name != "ContentDisposition"} == {
            name: text for name, text in given.items() if name != "ContentDisposition"
        }
        assert headers["content-disposition"].encode("latin-1").decode() == given["ContentDisposition"]
        got.get("Body", io.BytesIO()).read()


def test_what_is_not_there(s3: Any, bucket: str) -> None:
    assert refusal(s3.get_object, Bucket=bucket, Key="none") == (404, "NoSuchKey")
    assert refusal(s3.head_object, Bucket=bucket, Key="none") == (404, "404")
    assert refusal(s3.get_object, Bucket="no-such-bucket", Key="none") == (404, "NoSuchBucket")
    assert refusal(s3.put_object, Bucket="no-such-bucket", Key="none", Body=b"x") == (404, "NoSuchBucket")
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.put_object, Bucket=bucket, Key="x" * 1025, Body=b"") == (400, "KeyTooLongError")


def test_ranges(s3: Any, bucket: str) -> None:
    data = make_bytes(1000)
    s3.put_object(Bucket=bucket, Key="key", Body=data)
    for text, wanted in (
        ("bytes=0-0", slice(0, 1)),
        ("bytes=4-7", slice(4, 8)),
        ("bytes=500-", slice(500, 1000)),
        ("bytes=990-5000", slice(990, 1000)),
        ("bytes=-10", slice(990, 1000)),
        ("bytes=-5000", slice(0, 1000)),
    ):
        got = s3.get_object(Bucket=bucket, Key="key", Range=text)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {wanted.start}-{wanted.stop - 1}/1000"
        assert body_of(got) == data[wanted]
    for text in ("bytes=5-2", "lines=1-2", "bytes=0-1,5-6"):
        assert body_of(s3.get_object(Bucket=bucket, Key="key", Range=text)) == data
    for text in ("bytes=1000-", "bytes=-0"):
        assert refusal(s3.get_object, Bucket=bucket, Key="key", Range=text) == (416, "InvalidRange")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert refusal(s3.get_object, Bucket=bucket, Key="empty", Range="bytes=0-1") == (416, "InvalidRange")


def test_conditional_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="key", Body=b"data")["ETag"]
    now = datetime.now(UTC)
    get = {"Bucket": bucket, "Key": "key"}
    for conditions in (
        {"IfMatch": etag},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": now - timedelta(days=1)},
        {"IfUnmodifiedSince": now + timedelta(days=1)},
        {"IfMatch": etag, "IfUnmodifiedSince": now - timedelta(days=1)},
    ):
        assert body_of(s3.get_object(**get, **conditions)) == b"data"
    for conditions in ({"IfNoneMatch": etag}, {"IfModifiedSince": now + timedelta(days=1)}):
        assert refusal(s3.get_object, **get, **conditions)[0] == 304
    for conditions in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": now - timedelta(days=1)}):
        assert refusal(s3.get_object, **get, **conditions) == (412, "PreconditionFailed")


def test_conditional_writes(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="key", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    second = s3.put_object(Bucket=bucket, Key="key", Body=b"2", IfMatch=first)["ETag"]
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"3", IfMatch=first) == (412, "PreconditionFailed")
    assert refusal(s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first) == (404, "NoSuchKey")
    assert refusal(s3.delete_object, Bucket=bucket, Key="key", IfMatch=first) == (412, "PreconditionFailed")
    assert body_of(s3.get_object(Bucket=bucket, Key="key")) == b"2"
    s3.delete_object(Bucket=bucket, Key="key", IfMatch=second)
    assert refusal(s3.get_object, Bucket=bucket, Key="key") == (404, "NoSuchKey")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums(s3: Any, bucket: str, algorithm: str) -> None:
    data = make_bytes(200_000)
    put = s3.put_object(Bucket=bucket, Key="key", Body=data, ChecksumAlgorithm=algorithm)
    value = put[f"Checksum{algorithm}"]
    got = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (body_of(got), got[f"Checksum{algorithm}"], got["ChecksumType"]) == (data, value, "FULL_OBJECT")
    assert f"Checksum{algorithm}" not in s3.head_object(Bucket=bucket, Key="key")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["Checksum", "ETag", "ObjectSize"])
    assert attributes["Checksum"] == {f"Checksum{algorithm}": value, "ChecksumType": "FULL_OBJECT"}
    assert (attributes["ETag"], attributes["ObjectSize"]) == (put["ETag"].strip('"'), 200_000)
    name = f"Checksum{algorithm}"
    other = s3.put_object(Bucket=bucket, Key="other", Body=b"", ChecksumAlgorithm=algorithm)[name]
    target = {"Bucket": bucket, "Key": "key", "Body": data}
    assert refusal(s3.put_object, **target, **{name: other}) == (400, "BadDigest")
    assert refusal(s3.put_object, **target, **{name: "AA=="}) == (400, "InvalidRequest")


def test_content_md5(s3: Any, bucket: str) -> None:
    good = "CY9rzUYh03PK3k6DJie09g=="
    s3.put_object(Bucket=bucket, Key="key", Body=b"test", ContentMD5=good)
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"tests", ContentMD5=good) == (400, "BadDigest")
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"test", ContentMD5="AA==") == (400, "InvalidDigest")


def test_copies(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="a/b",
        Body=b"data",
        Metadata={"k": "v"},
        ContentType="a/b",
        Tagging="t=u",
        ChecksumAlgorithm="SHA1",
    )
    source = {"Bucket": bucket, "Key": "a/b"}
    copied = s3.copy_object(Bucket=bucket, Key="c", CopySource=source)["CopyObjectResult"]
    got = s3.get_object(Bucket=bucket, Key="c", ChecksumMode="ENABLED")
    assert (body_of(got), got["Metadata"], got["ContentType"], got["TagCount"]) == (b"data", {"k": "v"}, "a/b", 1)
    assert (got["ETag"], got["ChecksumSHA1"]) == (copied["ETag"], copied["ChecksumSHA1"])
    s3.copy_object(
        Bucket=bucket,
        Key="d",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"n": "m"},
        TaggingDirective="REPLACE",
    )
    got = s3.head_object(Bucket=bucket, Key="d")
    assert (got["Metadata"], got["ContentType"]) == ({"n": "m"}, "binary/octet-stream")
    assert "x-amz-tagging-count" not in got["ResponseMetadata"]["HTTPHeaders"]
    copy = {"Bucket": bucket, "Key": "a/b", "CopySource": source}
    assert refusal(s3.copy_object, **copy) == (400, "InvalidRequest")
    s3.copy_object(**copy, MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert s3.head_object(Bucket=bucket, Key="a/b")["Metadata"] == {"new": "1"}
    to = {"Bucket": bucket, "Key": "e"}
    assert refusal(s3.copy_object, **to, CopySource=source, CopySourceIfMatch='"x"') == (412, "PreconditionFailed")
    etag = copied["ETag"]
    assert refusal(s3.copy_object, **to, CopySource=source, CopySourceIfNoneMatch=etag) == (412, "PreconditionFailed")
    s3.copy_object(**to, CopySource=source, CopySourceIfMatch=etag)
    assert refusal(s3.copy_object, **to, CopySource={"Bucket": bucket, "Key": "no"}) == (404, "NoSuchKey")
    assert refusal(s3.copy_object, **to, CopySource={"Bucket": "no-bucket", "Key": "no"}) == (404, "NoSuchBucket")


def test_batch_deletion(s3: Any, bucket: str) -> None:
    keys = [f"key-{number}" for number in range(50)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    objects = [{"Key": key} for key in [*keys[:49], "none"]]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert answer["Deleted"] == objects
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [keys[49]]
    etag = s3.head_object(Bucket=bucket, Key=keys[49])["ETag"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": keys[49], "ETag": '"other"'}]})
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [(keys[49], "PreconditionFailed")]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": keys[49], "ETag": etag}], "Quiet": True})
    assert "Deleted" not in answer
    assert "Errors" not in answer
    many = {"Objects": [{"Key": f"{number}"} for number in range(1001)]}
    assert refusal(s3.delete_objects, Bucket=bucket, Delete=many) == (400, "MalformedXML")


def test_tags(s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**key, Body=b"", Tagging="a=1&b=%20x")
    assert s3.get_object_tagging(**key)["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": " x"}]
    tags = [{"Key": f"k{number}", "Value": "v" * 256} for number in range(10)]
    s3.put_object_tagging(**key, Tagging={"TagSet": tags})
    assert s3.get_object_tagging(**key)["TagSet"] == tags
    assert s3.head_object(**key)["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "10"
    for wrong in (
        [*tags, {"Key": "k", "Value": ""}],
        [{"Key": "k" * 129, "Value": ""}],
        [{"Key": "k", "Value": "v" * 257}],
    ):
        assert refusal(s3.put_object_tagging, **key, Tagging={"TagSet": wrong}) == (400, "InvalidTag")
    assert s3.get_object_tagging(**key)["TagSet"] == tags
    s3.delete_object_tagging(**key)
    assert s3.get_object_tagging(**key)["TagSet"] == []
    assert refusal(s3.get_object_tagging, Bucket=bucket, Key="none") == (404, "NoSuchKey")


def test_user_metadata_has_a_limit(s3: Any, bucket: str) -> None:
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"", Metadata={"a": "x" * 2048}) == (
        400,
        "MetadataTooLarge",
    )
    s3.put_object(Bucket=bucket, Key="key", Body=b"", Metadata={"a": "x" * 2047})


def test_what_is_not_offered_is_refused(s3: Any, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "key", "Body": b""}
    assert refusal(s3.put_object, **put, ServerSideEncryption="AES256") == (400, "InvalidEncryptionAlgorithmError")
    assert refusal(s3.put_object, **put, ACL="public-read") == (501, "NotImplemented")
    assert refusal(s3.put_object, **put, GrantRead="id=x") == (501, "NotImplemented")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.put_object(**put, ACL="private")
    s3.put_object_acl(Bucket=bucket, Key="key", ACL="bucket-owner-full-control")
    assert refusal(s3.put_object_acl, Bucket=bucket, Key="key", ACL="public-read") == (501, "NotImplemented")
    acl = s3.get_object_acl(Bucket=bucket, Key="key")
    assert [(grant["Grantee"]["ID"], grant["Permission"]) for grant in acl["Grants"]] == [
        (ADMIN.access_key, "FULL_CONTROL")
    ]
    s3.put_object_acl(Bucket=bucket, Key="key", AccessControlPolicy={"Owner": acl["Owner"], "Grants": acl["Grants"]})


def test_presigned_urls(s3: Any, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "a b/\u00fc"}
    url = s3.generate_presigned_url("put_object", Params=target, ExpiresIn=600)
    with urllib.request.urlopen(urllib.request.Request(url, b"by url", method="PUT")) as response:
        assert response.status == 200
    overrides = {"ResponseContentType": "x/y", "ResponseContentDisposition": 'attachment; filename="f"'}
    url = s3.generate_presigned_url("get_object", Params={**target, **overrides}, ExpiresIn=600)
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"by url"
        assert response.headers["content-type"] == "x/y"
        assert response.headers["content-disposition"] == 'attachment; filename="f"'
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace("x%2Fy", "x%2Fz"))
    assert caught.value.code == 403
    caught.value.close()
    split = s3.generate_presigned_url("get_object", Params={**target, "ResponseContentType": "a\r\nset-cookie: b"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(split)
    assert caught.value.code == 400
    caught.value.close()


def test_presigned_urls_as_boto3_makes_them_unless_told_otherwise(connect: Callable[..., Any], bucket: str) -> None:
    client = connect(ADMIN, signature_version=None)
    target = {"Bucket": bucket, "Key": "a b/\u00fc"}
    url = client.generate_presigned_url("put_object", Params=target, ExpiresIn=600)
    assert "AWSAccessKeyId" in url
    request = urllib.request.Request(url, b"by url", {"content-type": ""}, method="PUT")
    with urllib.request.urlopen(request) as response:
        assert response.status == 200
    url = client.generate_presigned_url("get_object", Params={**target, "ResponseContentType": "x/y"}, ExpiresIn=600)
    with urllib.request.urlopen(url) as response:
        assert (response.read(), response.headers["content-type"]) == (b"by url", "x/y")
    for changed in (url.replace("x%2Fy", "x%2Fz"), url.replace("/a", "/b"), f"{url}&acl"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(changed)
        assert caught.value.code == 403
        caught.value.close()


def test_an_unsigned_payload_and_a_signed_one(connect: Callable[..., Any], bucket: str) -> None:
    for signed in (True, False):
        client = connect(ADMIN, request_checksum_calculation="when_required")
        client.meta.config.s3["payload_signing_enabled"] = signed
        client.put_object(Bucket=bucket, Key="key", Body=make_bytes(100_000))
        assert body_of(client.get_object(Bucket=bucket, Key="key")) == make_bytes(100_000)


def test_managed_transfer(s3: Any, bucket: str) -> None:
    data = make_bytes(20 * MIB)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big")
    found = io.BytesIO()
    s3.download_fileobj(bucket, "big", found)
    assert found.getvalue() == data
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy")
    assert body_of(s3.get_object(Bucket=bucket, Key="copy")) == data


def test_an_unknown_key_and_a_stranger(connect: Callable[..., Any], url: str, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"secret")
    nobody = connect(Key("NOBODY", "secret", {}))
    assert refusal(nobody.get_object, Bucket=bucket, Key="key") == (403, "InvalidAccessKeyId")
    forger = connect(Key(ADMIN.access_key, "guess", {}))
    assert refusal(forger.get_object, Bucket=bucket, Key="key") == (403, "SignatureDoesNotMatch")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}/{bucket}/key")
    assert caught.value.code == 403
    assert b"AccessDenied" in caught.value.read()


def test_an_empty_body_that_asks_for_leave_leaves_its_connection_sound(
    connect: Callable[..., Any], bucket: str
) -> None:
    """botocore takes what is answered without "100 Continue" for the answer to the next request too."""
    client = connect(ADMIN, max_pool_connections=1)
    for data in (b"", b"data", b"", b"more data"):
        put = client.put_object(Bucket=bucket, Key="host/key", Body=io.BytesIO(data))
        assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="host/key", Body=io.BytesIO(b""), IfNoneMatch="*")
    with pytest.raises(client.exceptions.ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="no-such-bucket", Key="host/key", Body=io.BytesIO(b""))
    assert client.put_object(Bucket=bucket, Key="host/key", Body=io.BytesIO(b"data"))["ETag"]
