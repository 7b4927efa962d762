"""Buckets, listings, versions, locks, policies and uploads in parts, as boto3 uses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drystone.testing.fleet.bodies import make_bytes
from drystone.testing.fleet.gateway_server import READER, STRANGER
from drystone.testing.fleet.refusals import client_refusal as refusal

MIB = 1 << 20


def fill(s3: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def test_buckets(s3: Any, bucket: str) -> None:
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert refusal(s3.create_bucket, Bucket=bucket) == (409, "BucketAlreadyOwnedByYou")
    fill(s3, bucket, "key")
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="key")
    s3.create_multipart_upload(Bucket=bucket, Key="key")
    s3.delete_bucket(Bucket=bucket)
    assert refusal(s3.head_bucket, Bucket=bucket) == (404, "404")
    assert refusal(s3.delete_bucket, Bucket=bucket) == (404, "NoSuchBucket")
    elsewhere = {"LocationConstraint": "eu-north-1"}
    assert refusal(s3.create_bucket, Bucket="a-bucket", CreateBucketConfiguration=elsewhere) == (
        400,
        "IllegalLocationConstraintException",
    )


@pytest.mark.parametrize("name", ["Upper", "un_der", "1.2.3.4", "a..b", "a.-b", "-ab", "ab-"])
def test_names_that_no_bucket_may_have(s3: Any, name: str) -> None:
    assert refusal(s3.create_bucket, Bucket=name) == (400, "InvalidBucketName")


def test_buckets_in_pages(s3: Any) -> None:
    names = [f"paged-{number}" for number in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    first = s3.list_buckets(Prefix="paged-", MaxBuckets=3)
    second = s3.list_buckets(Prefix="paged-", MaxBuckets=3, ContinuationToken=first["ContinuationToken"])
    assert [each["Name"] for each in first["Buckets"] + second["Buckets"]] == names
    assert "ContinuationToken" not in second


def keys_of(page: Any) -> list[str]:
    return [each["Key"] for each in page.get("Contents", [])]


def prefixes_of(page: Any) -> list[str]:
    return [each["Prefix"] for each in page.get("CommonPrefixes", [])]


def test_listing_the_first_version(s3: Any, bucket: str) -> None:
    fill(s3, bucket, "asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla")
    page = s3.list_objects(Bucket=bucket)
    assert keys_of(page) == ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud"]
    assert (page["IsTruncated"], page["Marker"], page["MaxKeys"], page["Name"]) == (False, "", 1000, bucket)
    assert page["Contents"][0]["Size"] == 4
    assert page["Contents"][0]["ETag"] == f'"{hashlib.md5(b"asdf").hexdigest()}"'
    assert page["Contents"][0]["StorageClass"] == "STANDARD"
    marks = []
    marker = ""
    for _ in range(3):
        page = s3.list_objects(Bucket=bucket, Delimiter="/", MaxKeys=1, Marker=marker)
        marks.append((keys_of(page), prefixes_of(page), page["IsTruncated"]))
        marker = page.get("NextMarker", "")
    assert marks == [(["asdf"], [], True), ([], ["boo/"], True), ([], ["cquux/"], False)]
    assert marker == ""
    page = s3.list_objects(Bucket=bucket, Prefix="boo/", Delimiter="/")
    assert (keys_of(page), prefixes_of(page), page["Prefix"]) == (["boo/bar"], ["boo/baz/"], "boo/")
    assert keys_of(s3.list_objects(Bucket=bucket, Marker="boo/bar")) == ["boo/baz/xyzzy", "cquux/bla", "cquux/thud"]
    assert keys_of(s3.list_objects(Bucket=bucket, Marker="zzz")) == []
    assert "NextMarker" not in s3.list_objects(Bucket=bucket, MaxKeys=1)


def test_listing_the_second_version(s3: Any, bucket: str) -> None:
    names = [f"dir-{number % 3}/key {number:02}" for number in range(20)]
    fill(s3, bucket, *names)
    found: list[str] = []
    arguments: dict[str, Any] = {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=7, **arguments)
        found += keys_of(page)
        assert page["KeyCount"] == len(keys_of(page))
        if not page["IsTruncated"]:
            break
        arguments = {"ContinuationToken": page["NextContinuationToken"]}
    assert found == sorted(names)
    assert page["ContinuationToken"] == arguments["ContinuationToken"]
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=2)
    assert (prefixes_of(page), page["KeyCount"], page["IsTruncated"]) == (["dir-0/", "dir-1/"], 2, True)
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", ContinuationToken=page["NextContinuationToken"])
    assert (prefixes_of(page), page["IsTruncated"]) == (["dir-2/"], False)
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="dir-2/key 14", FetchOwner=True)
    assert (keys_of(page), page["StartAfter"]) == (["dir-2/key 17"], "dir-2/key 14")
    assert page["Contents"][0]["Owner"]["ID"] == "DRYSTONEADMIN"
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert keys_of(s3.list_objects_v2(Bucket=bucket, MaxKeys=0)) == []
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False
    for wrong in ({"MaxKeys": -1}, {"ContinuationToken": "\u00e9"}, {"ContinuationToken": "!"}):
        assert refusal(s3.list_objects_v2, Bucket=bucket, **wrong) == (400, "InvalidArgument")
    assert refusal(s3.list_objects_v2, Bucket="no-such-bucket") == (404, "NoSuchBucket")


@pytest.mark.parametrize("delimiter", ["a", " ", "%", "\n", ".", "\u00e9", "//"])
def test_delimiters_of_all_kinds(s3: Any, bucket: str, delimiter: str) -> None:
    fill(s3, bucket, f"b{delimiter}r", f"b{delimiter}z", f"c{delimiter}b", "foo")
    page = s3.list_objects_v2(Bucket=bucket, Delimiter=delimiter)
    assert page["Delimiter"] == delimiter
    assert (keys_of(page), prefixes_of(page)) == (["foo"], [f"b{delimiter}", f"c{delimiter}"])


def test_versions(s3: Any, versioned: str) -> None:
    key = {"Bucket": versioned, "Key": "host/key"}
    assert s3.get_bucket_versioning(Bucket=versioned)["Status"] == "Enabled"
    ids = [s3.put_object(**key, Body=text)["VersionId"] for text in (b"1", b"2", b"3")]
    for version, text in zip(ids, (b"1", b"2", b"3"), strict=True):
        got = s3.get_object(**key, VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (text, version)
    removed = s3.delete_object(**key)
    assert removed["DeleteMarker"] is True
    marker = removed["VersionId"]
    assert refusal(s3.get_object, **key) == (404, "NoSuchKey")
    assert refusal(s3.head_object, **key, VersionId=marker) == (405, "405")
    assert refusal(s3.get_object, **key, VersionId=marker) == (405, "MethodNotAllowed")
    assert refusal(s3.get_object, **key, VersionId="none") == (404, "NoSuchVersion")
    page = s3.list_object_versions(Bucket=versioned)
    assert [(each["VersionId"], each["IsLatest"]) for each in page["Versions"]] == [(each, False) for each in ids[::-1]]
    assert [(each["VersionId"], each["IsLatest"]) for each in page["DeleteMarkers"]] == [(marker, True)]
    assert keys_of(s3.list_objects_v2(Bucket=versioned)) == []
    assert s3.delete_object(**key, VersionId=marker)["DeleteMarker"] is True
    assert s3.get_object(**key)["Body"].read() == b"3"
    s3.copy_object(Bucket=versioned, Key="copy", CopySource={**key, "VersionId": ids[0]})
    assert s3.get_object(Bucket=versioned, Key="copy")["Body"].read() == b"1"
    assert refusal(s3.delete_bucket, Bucket=versioned) == (409, "BucketNotEmpty")
    objects = [{"Key": key["Key"], "VersionId": version} for version in ids]
    assert s3.delete_objects(Bucket=versioned, Delete={"Objects": objects})["Deleted"] == objects
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "new"}]})["Deleted"][0]
    assert (answer["DeleteMarker"], bool(answer["DeleteMarkerVersionId"])) == (True, True)


def test_versions_in_pages(s3: Any, versioned: str) -> None:
    for key in ("a", "b/1", "b/2"):
        for _ in range(3):
            s3.put_object(Bucket=versioned, Key=key, Body=b"")
        s3.delete_object(Bucket=versioned, Key=key)
    whole = s3.list_object_versions(Bucket=versioned)
    found: list[tuple[str, str]] = []
    markers: list[tuple[str, str]] = []
    arguments: dict[str, str] = {}
    while True:
        page = s3.list_object_versions(Bucket=versioned, MaxKeys=2, **arguments)
        found += [(each["Key"], each["VersionId"]) for each in page.get("Versions", [])]
        markers += [(each["Key"], each["VersionId"]) for each in page.get("DeleteMarkers", [])]
        if not page["IsTruncated"]:
            break
        arguments = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert found == [(each["Key"], each["VersionId"]) for each in whole["Versions"]]
    assert markers == [(each["Key"], each["VersionId"]) for each in whole["DeleteMarkers"]]
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/")
    assert (len(page["Versions"]), prefixes_of(page)) == (3, ["b/"])
    assert {each["Key"] for each in s3.list_object_versions(Bucket=versioned, KeyMarker="b/1")["Versions"]} == {"b/2"}


def test_versioning_suspended(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    fill(s3, bucket, "key")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(Bucket=bucket, Key="key", Body=b"kept")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.put_object(Bucket=bucket, Key="key", Body=b"null")["VersionId"] == "null"
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [each["VersionId"] for each in versions] == ["null", kept]
    assert s3.delete_object(Bucket=bucket, Key="key")["VersionId"] == "null"
    assert s3.get_object(Bucket=bucket, Key="key", VersionId=kept)["Body"].read() == b"kept"


def test_object_lock(s3: Any, bucket: str, locked: str) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    key = {"Bucket": locked, "Key": "key"}
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled"
    }
    version = s3.put_object(**key, Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later)["VersionId"]
    head = s3.head_object(**key)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", later)
    assert refusal(s3.delete_object, **key, VersionId=version) == (403, "AccessDenied")
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": later - timedelta(hours=1)}
    assert refusal(s3.put_object_retention, **key, Retention=shorter) == (403, "AccessDenied")
    s3.put_object_retention(**key, Retention=shorter, BypassGovernanceRetention=True)
    assert s3.get_object_retention(**key)["Retention"] == shorter
    strict = {"Mode": "COMPLIANCE", "RetainUntilDate": later}
    assert refusal(s3.put_object_retention, **key, Retention=strict) == (403, "AccessDenied")
    s3.put_object_retention(**key, Retention=strict, BypassGovernanceRetention=True)
    for wrong in (shorter, {"Mode": "COMPLIANCE", "RetainUntilDate": later - timedelta(hours=1)}, {}):
        code = refusal(s3.put_object_retention, **key, Retention=wrong, BypassGovernanceRetention=True)
        assert code == (403, "AccessDenied")
    assert refusal(s3.delete_object, **key, VersionId=version, BypassGovernanceRetention=True) == (403, "AccessDenied")
    assert s3.delete_object(**key)["DeleteMarker"] is True
    held = s3.put_object(**key, Body=b"", ObjectLockLegalHoldStatus="ON")["VersionId"]
    assert s3.get_object_legal_hold(**key)["LegalHold"] == {"Status": "ON"}
    assert refusal(s3.delete_object, **key, VersionId=held) == (403, "AccessDenied")
    s3.put_object_legal_hold(**key, LegalHold={"Status": "OFF"})
    s3.delete_object(**key, VersionId=held)
    assert refusal(s3.put_object, Bucket=bucket, Key="key", Body=b"", ObjectLockLegalHoldStatus="ON") == (
        400,
        "InvalidRequest",
    )
    suspended = {"Status": "Suspended"}
    assert refusal(s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration=suspended) == (
        409,
        "InvalidBucketState",
    )
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": later - timedelta(days=5)}
    fill(s3, locked, "new")
    assert refusal(s3.put_object_retention, Bucket=locked, Key="new", Retention=past) == (400, "InvalidArgument")
    assert refusal(s3.get_object_retention, Bucket=locked, Key="new") == (404, "NoSuchObjectLockConfiguration")


def test_default_retention(s3: Any, bucket: str, locked: str) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration
    fill(s3, locked, "key")
    kept = s3.get_object_retention(Bucket=locked, Key="key")["Retention"]
    assert kept["Mode"] == "GOVERNANCE"
    assert timedelta(days=2, hours=23) < kept["RetainUntilDate"] - datetime.now(UTC) <= timedelta(days=3)
    upload = s3.create_multipart_upload(Bucket=locked, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        Bucket=locked, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    assert s3.get_object_retention(Bucket=locked, Key="parts")["Retention"]["Mode"] == "GOVERNANCE"
    call = {"Bucket": bucket, "ObjectLockConfiguration": configuration}
    assert refusal(s3.put_object_lock_configuration, **call) == (409, "InvalidBucketState")
    assert refusal(s3.get_object_lock_configuration, Bucket=bucket) == (404, "ObjectLockConfigurationNotFoundError")
    both = {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}
    wrong = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": both}}
    assert refusal(s3.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration=wrong) == (
        400,
        "MalformedXML",
    )


def complete(s3: Any, bucket: str, upload: str, etags: dict[int, str], **more: Any) -> Any:
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in etags.items()]
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="key", UploadId=upload, MultipartUpload={"Parts": parts}, **more
    )


def test_upload_in_parts(s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "key"}
    upload = s3.create_multipart_upload(**key, Metadata={"k": "v"}, ContentType="a/b", Tagging="t=u")["UploadId"]
    data = {1: make_bytes(5 * MIB, 1), 3: make_bytes(5 * MIB + 1, 2), 10000: b"end"}
    etags = {
        number: s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in data.items()
    }
    assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    page = s3.list_parts(**key, UploadId=upload, MaxParts=2)
    assert [each["PartNumber"] for each in page["Parts"]] == [1, 3]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 3)
    page = s3.list_parts(**key, UploadId=upload, PartNumberMarker=3)
    assert [(each["PartNumber"], each["Size"], each["ETag"]) for each in page["Parts"]] == [(10000, 3, etags[10000])]
    for number in (0, 10001):
        call = {**key, "UploadId": upload, "PartNumber": number, "Body": b""}
        assert refusal(s3.upload_part, **call) == (400, "InvalidArgument")
    assert refusal(complete, s3=s3, bucket=bucket, upload=upload, etags={3: etags[3], 1: etags[1]}) == (
        400,
        "InvalidPartOrder",
    )
    for wrong in ({1: etags[3]}, {1: etags[1], 2: etags[1]}):
        assert refusal(complete, s3=s3, bucket=bucket, upload=upload, etags=wrong) == (400, "InvalidPart")
    done = complete(s3, bucket, upload, etags)
    assert (done["Bucket"], done["Key"], done["ETag"].endswith('-3"')) == (bucket, "key", True)
    assert complete(s3, bucket, upload, etags)["ETag"] == done["ETag"]
    got = s3.get_object(**key)
    assert got["Body"].read() == b"".join(data.values())
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (done["ETag"], {"k": "v"}, "a/b")
    for index, body in enumerate(data.values(), 1):
        got = s3.get_object(**key, PartNumber=index)
        assert (got["Body"].read(), got["PartsCount"]) == (body, 3)
    assert refusal(s3.get_object, **key, PartNumber=4) == (416, "InvalidPartNumber")
    attributes = s3.get_object_attributes(**key, ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert attributes["TotalPartsCount"] == 3
    assert refusal(s3.list_parts, **key, UploadId=upload) == (404, "NoSuchUpload")
    assert refusal(s3.abort_multipart_upload, **key, UploadId="none") == (404, "NoSuchUpload")


def test_a_small_part_in_the_middle_is_refused(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etags = {
        number: s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=number, Body=b"x")["ETag"]
        for number in (1, 2)
    }
    assert refusal(complete, s3=s3, bucket=bucket, upload=upload, etags=etags) == (400, "EntityTooSmall")
    s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_parts(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    key, name = {"Bucket": bucket, "Key": "key"}, f"Checksum{algorithm}"
    begun = s3.create_multipart_upload(**key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == (algorithm, kind)
    upload, bodies = begun["UploadId"], (make_bytes(5 * MIB, 1), make_bytes(77, 2))
    parts = []
    for number, body in enumerate(bodies, 1):
        made = s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": made["ETag"], name: made[name]})
    listed = s3.list_parts(**key, UploadId=upload)
    assert [each[name] for each in listed["Parts"]] == [each[name] for each in parts]
    wrong = [{**parts[0], name: parts[1][name]}, parts[1]]
    call = {**key, "UploadId": upload}
    assert refusal(s3.complete_multipart_upload, **call, MultipartUpload={"Parts": wrong}) == (400, "InvalidPart")
    whole = b"".join(bodies)
    plain = s3.put_object(Bucket=bucket, Key="whole", Body=whole, ChecksumAlgorithm=algorithm)[name]
    stated = {name: parts[0][name]} if kind == "FULL_OBJECT" else {}
    if stated:
        assert refusal(s3.complete_multipart_upload, **call, MultipartUpload={"Parts": parts}, **stated) == (
            400,
            "BadDigest",
        )
        stated[name] = plain
    done = s3.complete_multipart_upload(**call, MultipartUpload={"Parts": parts}, ChecksumType=kind, **stated)
    assert done["ChecksumType"] == kind
    if kind == "FULL_OBJECT":
        assert done[name] == plain
    else:
        assert done[name].endswith("-2")
    got = s3.get_object(**key, ChecksumMode="ENABLED")
    assert (got[name], got["Body"].read()) == (done[name], whole)


def test_parts_that_are_copied(s3: Any, bucket: str) -> None:
    data = make_bytes(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    key, source = {"Bucket": bucket, "Key": "key"}, {"Bucket": bucket, "Key": "source"}
    upload = s3.create_multipart_upload(**key)["UploadId"]
    etags = {}
    for number, text in ((1, f"bytes=0-{5 * MIB - 1}"), (2, f"bytes={5 * MIB}-{6 * MIB - 1}")):
        copied = s3.upload_part_copy(**key, UploadId=upload, PartNumber=number, CopySource=source, CopySourceRange=text)
        etags[number] = copied["CopyPartResult"]["ETag"]
    call = {**key, "UploadId": upload, "PartNumber": 3, "CopySource": source}
    for text, code in ((f"bytes=0-{6 * MIB}", (416, "InvalidRange")), ("0-2", (400, "InvalidArgument"))):
        assert refusal(s3.upload_part_copy, **call, CopySourceRange=text) == code
    done = complete(s3, bucket, upload, etags)
    got = s3.get_object(**key)
    assert (got["Body"].read(), got["ETag"]) == (data, done["ETag"])


def test_conditional_completion(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    fill(s3, bucket, "key")
    call = {"s3": s3, "bucket": bucket, "upload": upload, "etags": {1: etag}}
    assert refusal(complete, **call, IfNoneMatch="*") == (412, "PreconditionFailed")
    s3.delete_object(Bucket=bucket, Key="key")
    complete(**call, IfNoneMatch="*")


def test_uploads_in_pages(s3: Any, bucket: str) -> None:
    ids = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("a", "b/1", "b/2", "c")}
    found: list[str] = []
    arguments: dict[str, str] = {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1, **arguments)
        found += [each["Key"] for each in page.get("Uploads", [])]
        if not page["IsTruncated"]:
            break
        arguments = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert found == list(ids)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert ([each["Key"] for each in page["Uploads"]], prefixes_of(page)) == (["a", "c"], ["b/"])
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")
    assert [each["UploadId"] for each in page["Uploads"]] == [ids["b/1"], ids["b/2"]]


def test_policy(s3: Any, connect: Callable[..., Any], bucket: str) -> None:
    fill(s3, bucket, "shared/key", "private/key")
    assert refusal(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam:::user/{STRANGER.access_key}"]},
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/shared/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    stranger = connect(STRANGER)
    assert stranger.get_object(Bucket=bucket, Key="shared/key")["Body"].read() == b"shared/key"
    fill(stranger, bucket, "shared/new")
    assert refusal(stranger.get_object, Bucket=bucket, Key="private/key") == (403, "AccessDenied")
    assert refusal(stranger.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")
    assert refusal(stranger.delete_object, Bucket=bucket, Key="shared/key") == (403, "AccessDenied")
    public = {**statement, "Principal": "*"}
    wrong = [
        "{",
        "[]",
        json.dumps({"Statement": [public]}),
        json.dumps({"Statement": [{**statement, "NotAction": "s3:*"}]}),
        json.dumps({"Statement": [{**statement, "Resource": "arn:aws:s3:::other/*"}]}),
        json.dumps({"Statement": [{**statement, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}),
        json.dumps({"Statement": [statement] * 1000}),
        "[" * 1000,
    ]
    for text in wrong:
        assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy=text) == (400, "MalformedPolicy")
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    s3.delete_bucket_policy(Bucket=bucket)
    assert refusal(stranger.get_object, Bucket=bucket, Key="shared/key") == (403, "AccessDenied")


def test_rights(s3: Any, connect: Callable[..., Any], bucket: str) -> None:
    fill(s3, bucket, "key")
    reader, stranger = connect(READER), connect(STRANGER)
    assert reader.get_object(Bucket=bucket, Key="key")["Body"].read() == b"key"
    assert refusal(reader.put_object, Bucket=bucket, Key="key", Body=b"") == (403, "AccessDenied")
    assert refusal(reader.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "key"}]}) == (403, "AccessDenied")
    assert stranger.list_buckets()["Buckets"] == []
    for name in (bucket, "no-such-bucket"):
        assert refusal(stranger.get_object, Bucket=name, Key="key") == (403, "AccessDenied")
        assert refusal(stranger.head_object, Bucket=name, Key="none") == (403, "403")


def test_tags_of_a_bucket(s3: Any, bucket: str) -> None:
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    tags = [{"Key": "Hello", "Value": "World"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_settings_that_are_not_offered(s3: Any, bucket: str) -> None:
    assert refusal(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")
    assert refusal(s3.get_bucket_website, Bucket=bucket) == (404, "NoSuchWebsiteConfiguration")
    assert refusal(s3.get_bucket_encryption, Bucket=bucket)[0] == 404
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    assert refusal(s3.put_bucket_cors, Bucket=bucket, CORSConfiguration=rules) == (501, "NotImplemented")
    s3.delete_bucket_cors(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert refusal(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == (501, "NotImplemented")


def test_lifecycle_rules(s3: Any, bucket: str) -> None:
    assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")
    rules = [
        {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}},
        {
            "ID": "versions",
            "Status": "Disabled",
            "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 5},
        },
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    move = {**rules[0], "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
    call = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [move]}}
    assert refusal(s3.put_bucket_lifecycle_configuration, **call) == (501, "NotImplemented")
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")
