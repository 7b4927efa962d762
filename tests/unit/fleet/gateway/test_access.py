"""Who may do what: strangers learn nothing, keys have their rights, policies add and take away."""

from __future__ import annotations

import json

import pytest

from drystone.fleet.documents import Key
from drystone.fleet.s3.signing import presign, sign_request
from drystone.testing.fleet.gateway_client import HOST, Answer, GatewayClient

ADMIN = Key("ADMIN", "admins-secret", {"*": "admin"})
WRITER = Key("WRITER", "writers-secret", {"bucket": "write"})
READER = Key("READER", "readers-secret", {"bucket": "read"})
OTHER = Key("OTHER", "others-secret", {"elsewhere": "admin"})
REQUESTS = (
    ("GET", "/"),
    ("GET", "/bucket"),
    ("GET", "/bucket/key"),
    ("HEAD", "/bucket/key"),
    ("GET", "/bucket/none"),
    ("GET", "/none"),
    ("GET", "/none/key"),
    ("PUT", "/bucket/key"),
    ("PUT", "/new"),
    ("PUT", "/bucket/key?tagging"),
    ("PUT", "/bucket/key?partNumber=1&uploadId=u"),
    ("POST", "/bucket?delete"),
    ("POST", "/bucket/key?uploads"),
    ("DELETE", "/bucket/key"),
    ("DELETE", "/bucket"),
    ("GET", "/bucket?policy"),
    ("GET", "/bucket?list-type=2&max-keys=x"),
    ("OPTIONS", "/bucket/key"),
    ("BREW", "/bucket/key"),
    ("GET", "/%FF"),
    ("GET", "*"),
    ("GET", "/bucket/" + "k" * 2000),
    ("GET", "/bucket/key?" + "a=b&" * 10000),
    ("GET", "/BUCKET_/../key"),
)


@pytest.fixture
def client() -> GatewayClient:
    made = GatewayClient(ADMIN, WRITER, READER, OTHER)
    for target in ("/bucket", "/elsewhere", "/bucket/key"):
        assert made.call("PUT", target, b"" if "key" not in target else b"data", key=ADMIN).status == 200
    return made


def refused(answer: Answer) -> bool:
    return answer.status == 403 and b"bucket" not in answer.body


@pytest.mark.parametrize(("method", "target"), REQUESTS)
@pytest.mark.parametrize("authorization", [None, "", "Basic eDp5", "AWS KEY:c2ln", "AWS4-HMAC-SHA256 nonsense"])
def test_a_stranger_gets_403_and_nothing_else(
    client: GatewayClient, method: str, target: str, authorization: str | None
) -> None:
    headers = {"host": HOST, "content-length": "5", "expect": "100-continue"}
    if authorization is not None:
        headers["authorization"] = authorization
    answer = client.send(method, target, headers, b"hello")
    assert refused(answer)
    assert set(answer.headers) <= {"content-type", "content-length", "x-amz-request-id", "server"}
    assert client.read == 0


def test_what_a_stranger_gets_is_the_same_whether_it_exists_or_not(client: GatewayClient) -> None:
    answers = {client.send("GET", target, {"host": HOST}).body for target in ("/bucket/key", "/bucket/no", "/no/no")}
    assert len(answers) == 1


def test_an_unknown_key_and_a_wrong_secret_are_refused(client: GatewayClient) -> None:
    for key, code in ((Key("NOBODY", "x", {}), "InvalidAccessKeyId"), (Key("ADMIN", "x", {}), "SignatureDoesNotMatch")):
        answer = client.call("PUT", "/bucket/key", b"other", key=key)
        assert (answer.status, answer.code) == (403, code)
        assert client.read == 0
    assert client.call("GET", "/bucket/key", key=ADMIN).body == b"data"


@pytest.mark.parametrize(
    ("method", "target"), [each for each in REQUESTS if each[0] in ("GET", "PUT", "DELETE", "POST")]
)
def test_a_key_without_rights_learns_nothing_of_a_bucket(client: GatewayClient, method: str, target: str) -> None:
    if target == "/":
        names = [
            node.text
            for node in client.call("GET", "/", key=OTHER).document("ListAllMyBucketsResult").children[1].each("Name")
        ]
        assert "bucket" not in names
        return
    answer = client.call(method, target, key=OTHER)
    assert answer.status in (400, 403)
    assert b"NoSuch" not in answer.body


def test_a_bucket_that_exists_and_one_that_does_not_look_the_same_without_rights(client: GatewayClient) -> None:
    there, absent = (client.call("GET", f"/{name}/key", key=OTHER) for name in ("bucket", "none"))
    assert (there.status, there.body, there.headers) == (absent.status, absent.body, absent.headers)


ALLOWED = {
    "read": [
        ("GET", "/bucket", 200),
        ("HEAD", "/bucket", 200),
        ("GET", "/bucket/key", 200),
        ("HEAD", "/bucket/key", 200),
        ("GET", "/bucket/key?tagging", 200),
        ("GET", "/bucket?uploads", 200),
        ("GET", "/bucket?versions", 200),
    ],
    "write": [
        ("PUT", "/bucket/new", 200),
        ("DELETE", "/bucket/key", 204),
        ("POST", "/bucket/key?uploads", 200),
        ("DELETE", "/bucket/key?tagging", 204),
    ],
    "admin": [
        ("PUT", "/bucket?acl", 400),
        ("DELETE", "/bucket?policy", 204),
        ("PUT", "/bucket?versioning", 400),
        ("DELETE", "/bucket", 409),
        ("PUT", "/other-bucket", 200),
    ],
}


@pytest.mark.parametrize(
    ("key", "level"), [(READER, 0), (WRITER, 1), (ADMIN, 2)], ids=["reader", "writer", "administrator"]
)
def test_rights_include_those_before_them(key: Key, level: int) -> None:
    for needed, right in enumerate(ALLOWED):
        for method, target, status in ALLOWED[right]:
            client = GatewayClient(ADMIN, WRITER, READER)
            client.call("PUT", "/bucket", key=ADMIN)
            client.call("PUT", "/bucket/key", b"data", key=ADMIN)
            answer = client.call(method, target, key=key)
            assert answer.status == (status if needed <= level else 403), (method, target, answer)


def test_a_copy_needs_the_right_to_read_its_source(client: GatewayClient) -> None:
    answer = client.call("PUT", "/elsewhere/key", headers={"x-amz-copy-source": "/bucket/key"}, key=OTHER)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    missing = client.call("PUT", "/elsewhere/key", headers={"x-amz-copy-source": "/none/key"}, key=OTHER)
    assert (missing.status, missing.code) == (403, "AccessDenied")
    begun = client.call("POST", "/elsewhere/key?uploads", key=OTHER).document("InitiateMultipartUploadResult")
    part = f"/elsewhere/key?partNumber=1&uploadId={begun.find_text('UploadId')}"
    assert client.call("PUT", part, headers={"x-amz-copy-source": "/bucket/key"}, key=OTHER).status == 403


def policy(*statements: dict[str, object]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()


def statement(effect: str, principal: object, action: object, resource: str, **more: object) -> dict[str, object]:
    arn = f"arn:aws:s3:::{resource}"
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": arn, **more}


def test_a_policy_allows_a_key_what_its_rights_do_not(client: GatewayClient) -> None:
    text = policy(statement("Allow", {"AWS": "arn:aws:iam:::user/OTHER"}, "s3:GetObject", "bucket/shared/*"))
    assert client.call("PUT", "/bucket?policy", text, key=ADMIN).status == 204
    client.call("PUT", "/bucket/shared/key", b"shared", key=ADMIN)
    assert client.call("GET", "/bucket/shared/key", key=OTHER).body == b"shared"
    assert client.call("GET", "/bucket/key", key=OTHER).status == 403
    assert client.call("PUT", "/bucket/shared/key", key=OTHER).status == 403
    assert client.call("DELETE", "/bucket/shared/key", key=OTHER).status == 403
    assert client.call("GET", "/bucket", key=OTHER).status == 403
    assert client.call("GET", "/bucket?policy", key=ADMIN).body == text
    assert client.call("DELETE", "/bucket?policy", key=ADMIN).status == 204
    assert client.call("GET", "/bucket/shared/key", key=OTHER).status == 403


def test_a_policy_denies_what_rights_allow_but_locks_no_administrator_out(client: GatewayClient) -> None:
    text = policy(statement("Deny", "*", "s3:*", "bucket/*"), statement("Deny", "*", "*", "bucket"))
    assert client.call("PUT", "/bucket?policy", text, key=ADMIN).status == 204
    for key in (ADMIN, WRITER, READER):
        for method, target in (("GET", "/bucket/key"), ("PUT", "/bucket/key"), ("GET", "/bucket")):
            assert client.call(method, target, key=key).status == 403
    assert client.call("DELETE", "/bucket?policy", key=WRITER).status == 403
    assert client.call("DELETE", "/bucket?policy", key=ADMIN).status == 204
    assert client.call("GET", "/bucket/key", key=READER).status == 200


def test_a_batch_deletion_is_held_to_the_policy_key_by_key(client: GatewayClient) -> None:
    client.call("PUT", "/bucket/kept", b"x", key=ADMIN)
    text = policy(statement("Deny", {"AWS": ["WRITER"]}, "s3:DeleteObject*", "bucket/kept"))
    client.call("PUT", "/bucket?policy", text, key=ADMIN)
    body = b"<Delete><Object><Key>kept</Key></Object><Object><Key>key</Key></Object></Delete>"
    answer = client.call("POST", "/bucket?delete", body, key=WRITER).document("DeleteResult")
    assert [(node.name, node.find_text("Key"), node.find_text("Code")) for node in answer.children] == [
        ("Error", "kept", "AccessDenied"),
        ("Deleted", "key", ""),
    ]
    assert client.call("GET", "/bucket/kept", key=READER).status == 200


def test_a_policy_may_ask_for_tls(client: GatewayClient) -> None:
    insecure = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    client.call("PUT", "/bucket?policy", policy(statement("Deny", "*", "s3:*", "bucket/*", **insecure)), key=ADMIN)
    assert client.call("GET", "/bucket/key", key=READER).status == 403
    assert client.call("GET", "/bucket/key", key=READER, secure=True).status == 200


def test_a_request_is_good_for_a_quarter_of_an_hour(client: GatewayClient) -> None:
    signed = sign_request("GET", "/bucket/key", {"host": HOST}, "READER", READER.secret, now=client.time)
    client.time += 899
    assert client.send("GET", "/bucket/key", signed).body == b"data"
    client.time += 2
    answer = client.send("GET", "/bucket/key", signed)
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")


def test_a_replayed_put_with_other_bytes_changes_nothing(client: GatewayClient) -> None:
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    headers = {"host": HOST, "content-length": "5"}
    signed = sign_request("PUT", "/bucket/key", headers, "WRITER", WRITER.secret, now=client.time, payload=digest)
    assert client.send("PUT", "/bucket/key", signed, b"hello").status == 200
    answer = client.send("PUT", "/bucket/key", signed, b"jello")
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert client.call("GET", "/bucket/key", key=READER).body == b"hello"


def test_presigned_urls(client: GatewayClient) -> None:
    get = presign("GET", "/bucket/key", HOST, "READER", READER.secret, now=client.time, expires=60)
    put = presign("PUT", "/bucket/key", HOST, "READER", READER.secret, now=client.time, expires=60)
    assert client.send("GET", get, {"host": HOST}).body == b"data"
    assert client.send("PUT", get, {"host": HOST, "content-length": "1"}, b"x").status == 403
    assert client.send("PUT", put, {"host": HOST, "content-length": "1"}, b"x").status == 403
    writable = presign("PUT", "/bucket/key", HOST, "WRITER", WRITER.secret, now=client.time, expires=60)
    assert client.send("PUT", writable, {"host": HOST, "content-length": "1"}, b"x").status == 200
    client.time += 61
    assert client.send("GET", get, {"host": HOST}).status == 403


def test_governance_is_passed_over_by_administrators_only() -> None:
    client = GatewayClient(ADMIN, WRITER)
    client.call("PUT", "/bucket", headers={"x-amz-bucket-object-lock-enabled": "true"}, key=ADMIN)
    lock = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2999-01-01T00:00:00Z"}
    version = client.call("PUT", "/bucket/key", b"data", lock, key=WRITER).headers["x-amz-version-id"]
    bypass = {"x-amz-bypass-governance-retention": "true"}
    delete = f"<Delete><Object><Key>key</Key><VersionId>{version}</VersionId></Object></Delete>".encode()
    for key, headers in ((WRITER, {}), (WRITER, bypass), (ADMIN, {})):
        assert client.call("DELETE", f"/bucket/key?versionId={version}", headers=headers, key=key).status == 403
        assert client.call("PUT", "/bucket/key?retention", b"<Retention/>", headers, key=key).status == 403
        answer = client.call("POST", "/bucket?delete", delete, headers, key=key)
        assert b"AccessDenied" in answer.body
    assert client.call("PUT", "/bucket/key?retention", b"<Retention/>", bypass, key=ADMIN).status == 200
    assert client.call("DELETE", f"/bucket/key?versionId={version}", key=WRITER).status == 204


def test_a_path_trick_stays_inside_of_its_bucket(client: GatewayClient) -> None:
    for path in ("/bucket/../elsewhere/key", "/bucket/%2e%2e/elsewhere/key", "/bucket//etc/passwd"):
        assert client.call("PUT", path, b"x", key=WRITER).status == 200
    keys = [
        node.find_text("Key")
        for node in client.call("GET", "/bucket", key=READER).document("ListBucketResult").each("Contents")
    ]
    assert keys == ["../elsewhere/key", "/etc/passwd", "key"]
    assert list(client.call("GET", "/elsewhere", key=ADMIN).document("ListBucketResult").each("Contents")) == []


def test_reserved_names_are_no_buckets(client: GatewayClient) -> None:
    for name in ("api", "internal"):
        assert client.call("PUT", f"/{name}", key=ADMIN).code == "InvalidBucketName"
        assert client.call("GET", f"/{name}/key", key=ADMIN).code == "NoSuchBucket"


def test_an_expected_owner_must_be_the_owner(client: GatewayClient) -> None:
    for owner, status in (("ADMIN", 200), ("READER", 403)):
        headers = {"x-amz-expected-bucket-owner": owner}
        assert client.call("GET", "/bucket/key", headers=headers, key=READER).status == status
        headers = {"x-amz-source-expected-bucket-owner": owner, "x-amz-copy-source": "bucket/key"}
        assert client.call("PUT", "/bucket/copy", headers=headers, key=WRITER).status == status
