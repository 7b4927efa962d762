"""Signatures: the examples of the S3 API reference, botocore's signer, and what forgers try."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.moments import format_stamp, parse_stamp
from drystone.fleet.s3.signing import (
    EMPTY_SHA256,
    SKEW_SECONDS,
    Chain,
    Claim,
    check_claim,
    join_headers,
    presign,
    read_claim,
    sign_request,
    signing_key,
    string_to_sign,
)
from drystone.fleet.s3.target import canonical_path, query_pairs, split_target

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MOMENT = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
HOST = "examplebucket.s3.amazonaws.com"
ZEROS = f"Signature={'0' * 64}"


def check(
    method: str, target: str, headers: Mapping[str, str], *, now: float = MOMENT, secret: str = SECRET
) -> tuple[Claim, Chain]:
    path, query = split_target(target)
    pairs = query_pairs(query)
    claim = read_claim(pairs, headers)
    return claim, check_claim(claim, secret, method, path, pairs, headers, now=now)


def signature_of(headers: Mapping[str, str]) -> str:
    return headers["authorization"].rpartition("=")[2]


@pytest.mark.parametrize(
    ("method", "target", "headers", "payload", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {"host": HOST, "range": "bytes=0-9"},
            EMPTY_SHA256,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            {
                "host": HOST,
                "date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            {"host": HOST},
            EMPTY_SHA256,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            {"host": HOST},
            EMPTY_SHA256,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_examples_of_the_reference(
    method: str, target: str, headers: dict[str, str], payload: str, signature: str
) -> None:
    signed = sign_request(method, target, headers, KEY, SECRET, now=MOMENT, payload=payload)
    assert signature_of(signed) == signature
    check(method, target, signed)


def test_presigned_example_of_the_reference() -> None:
    target = presign("GET", "/test.txt", HOST, KEY, SECRET, now=MOMENT, expires=86400)
    assert target.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
    claim, _ = check("GET", target, {"host": HOST})
    assert (claim.access_key, claim.expires) == (KEY, 86400)


TARGETS = (
    "/",
    "/bucket/key",
    "/bucket/a%20b/%C3%BC/%2B+x",
    "/bucket/a//b/../c/./",
    "/bucket/key%2Fwith%2Fslashes?uploads",
    "/bucket?list-type=2&prefix=a%2Fb&delimiter=%2F&start-after=%20",
    "/bucket?b=2&a=1&a=0&empty=&bare",
    "/bucket/~tilde-._*'()!",
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_botocore_signs_is_accepted(method: str, target: str) -> None:
    request = AWSRequest(
        method, f"https://s3.example:9000{target}", data=b"body", headers={"x-amz-meta-a": " two  spaces "}
    )
    S3SigV4Auth(Credentials(KEY, SECRET), "s3", "eu-west-1").add_auth(request)
    headers = join_headers([*((str(k), str(v)) for k, v in request.headers.items()), ("Host", "s3.example:9000")])
    now = parse_stamp(headers["x-amz-date"])
    claim, _ = check(method, target, headers, now=now)
    assert claim.region == "eu-west-1"
    ours = {name: headers[name] for name in claim.signed_headers if name not in ("x-amz-date", "x-amz-content-sha256")}
    signed = sign_request(method, target, ours, KEY, SECRET, now=now, region="eu-west-1", payload=claim.payload)
    check(method, target, signed, now=now)
    if canonical_path(split_target(target)[0]) == split_target(target)[0]:
        assert signed["authorization"] == headers["authorization"]


@pytest.mark.parametrize("target", TARGETS)
def test_what_botocore_presigns_is_accepted(target: str) -> None:
    request = AWSRequest("GET", f"http://s3.example{target}")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=60).add_auth(request)
    parts = urlsplit(request.url)
    headers = {"host": "s3.example"}
    _, _, stamp = parts.query.partition("X-Amz-Date=")
    claim, _ = check("GET", f"{parts.path}?{parts.query}", headers, now=parse_stamp(stamp[:16]))
    assert claim.expires == 60


def test_headers_are_trimmed_and_joined() -> None:
    pairs = [("Host", HOST), ("X-Amz-Meta-A", " 1  2 "), ("x-amz-meta-a", "3")]
    headers = join_headers(pairs)
    assert headers == {"host": HOST, "x-amz-meta-a": " 1  2 ,3"}
    check("GET", "/", sign_request("GET", "/", headers, KEY, SECRET, now=MOMENT))


def forged(**changes: str) -> dict[str, str]:
    signed = sign_request("GET", "/bucket/key?a=b", {"host": HOST, "x-amz-meta-a": "b"}, KEY, SECRET, now=MOMENT)
    return {**signed, **{name.replace("_", "-"): text for name, text in changes.items()}}


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("PUT", "/bucket/key?a=b", forged()),
        ("GET", "/bucket/key2?a=b", forged()),
        ("GET", "/bucket/key", forged()),
        ("GET", "/bucket/key?a=c", forged()),
        ("GET", "/bucket/key?a=b&versionId=1", forged()),
        ("GET", "/bucket/key?a=b", forged(host="other")),
        ("GET", "/bucket/key?a=b", forged(x_amz_meta_a="c")),
        ("GET", "/bucket/key?a=b", forged(x_amz_content_sha256=EMPTY_SHA256)),
        ("GET", "/bucket/key?a=b", forged(x_amz_date="20130524T000001Z")),
        ("GET", "/bucket/key?a=b", forged(authorization=forged()["authorization"][:-1] + "0")),
    ],
)
def test_a_changed_request_is_refused(method: str, target: str, headers: dict[str, str]) -> None:
    check("GET", "/bucket/key?a=b", forged())
    with pytest.raises(S3Error) as caught:
        check(method, target, headers)
    assert caught.value.code is Code.SignatureDoesNotMatch


def test_another_secret_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        check("GET", "/bucket/key?a=b", forged(), secret="another")
    assert caught.value.code is Code.SignatureDoesNotMatch


def test_a_header_that_was_slipped_in_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        check("GET", "/bucket/key?a=b", forged(x_amz_copy_source="/secret/key"))
    assert caught.value.code is Code.AccessDenied


@pytest.mark.parametrize("late", [-SKEW_SECONDS - 1, SKEW_SECONDS + 1])
def test_an_old_or_early_request_is_refused(late: float) -> None:
    check("GET", "/bucket/key?a=b", forged(), now=MOMENT + late - (1 if late > 0 else -1))
    with pytest.raises(S3Error) as caught:
        check("GET", "/bucket/key?a=b", forged(), now=MOMENT + late)
    assert caught.value.code is Code.RequestTimeTooSkewed


def test_a_presigned_url_expires_and_is_not_good_before_its_time() -> None:
    target = presign("GET", "/b/k", HOST, KEY, SECRET, now=MOMENT, expires=10)
    check("GET", target, {"host": HOST}, now=MOMENT + 10)
    for now in (MOMENT + 11, MOMENT - SKEW_SECONDS - 1):
        with pytest.raises(S3Error) as caught:
            check("GET", target, {"host": HOST}, now=now)
        assert caught.value.code is Code.AccessDenied


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "9999999", "x", "", "1.5", "\u0661"])
def test_a_presigned_url_has_bounds(expires: str) -> None:
    target = presign("GET", "/b/k", HOST, KEY, SECRET, now=MOMENT, expires=10)
    with pytest.raises(S3Error) as caught:
        check("GET", target.replace("X-Amz-Expires=10", f"X-Amz-Expires={expires}"), {"host": HOST})
    assert caught.value.status == 403


def test_a_presigned_url_is_good_for_its_method_and_key_only() -> None:
    target = presign("GET", "/b/k", HOST, KEY, SECRET, now=MOMENT, expires=10)
    for method, changed in (("PUT", target), ("GET", target.replace("/b/k", "/b/l")), ("GET", f"{target}&acl")):
        with pytest.raises(S3Error) as caught:
            check(method, changed, {"host": HOST})
        assert caught.value.code is Code.SignatureDoesNotMatch
    with pytest.raises(S3Error) as caught:
        check("GET", target, {"host": HOST, "x-amz-acl": "private"})
    assert caught.value.code is Code.AccessDenied


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "AWS4-HMAC-SHA256",
        f"AWS {KEY}:c2lnbmF0dXJl",
        "Basic dXNlcjpwYXNz",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/ec2/aws4_request, SignedHeaders=host, {ZEROS}",
        f"AWS4-HMAC-SHA256 Credential={KEY}, SignedHeaders=host, {ZEROS}",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20130523/us-east-1/s3/aws4_request, SignedHeaders=host, {ZEROS}",
        f"AWS4-HMAC-SHA256 Credential=/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, {ZEROS}",
        "AWS4-HMAC-SHA256 " + "Credential=" * 1000,
    ],
)
def test_a_malformed_header_is_refused_with_403(authorization: str) -> None:
    headers = {
        "host": HOST,
        "x-amz-date": format_stamp(MOMENT),
        "x-amz-content-sha256": EMPTY_SHA256,
        "authorization": authorization,
    }
    with pytest.raises(S3Error) as caught:
        check("GET", "/", headers)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "stamp", ["", "20130524", "20131324T000000Z", "2013-05-24T00:00:00Z", "\u0661" * 8 + "T000000Z"]
)
def test_a_malformed_date_is_refused_with_403(stamp: str) -> None:
    with pytest.raises(S3Error) as caught:
        check("GET", "/bucket/key?a=b", forged(x_amz_date=stamp))
    assert caught.value.status == 403


def test_the_credentials_day_is_that_of_the_request() -> None:
    scope, names, stamp = "20130523/us-east-1/s3/aws4_request", ["host"], format_stamp(MOMENT)
    headers = {"host": HOST}
    text = string_to_sign("GET", "/", [], headers, names, payload=EMPTY_SHA256, stamp=stamp, scope=scope)
    signature = hmac.digest(signing_key(SECRET, "20130523", "us-east-1"), text.encode(), "sha256").hex()
    claim = Claim(KEY, "20130523", "us-east-1", stamp, ("host",), signature, EMPTY_SHA256)
    with pytest.raises(S3Error) as caught:
        check_claim(claim, SECRET, "GET", "/", [], headers, now=MOMENT)
    assert caught.value.code is Code.AuthorizationHeaderMalformed


def test_host_must_be_signed() -> None:
    signed = sign_request("GET", "/", {"accept": "x"}, KEY, SECRET, now=MOMENT)
    with pytest.raises(S3Error) as caught:
        check("GET", "/", {**signed, "host": HOST})
    assert caught.value.code is Code.AccessDenied


def test_two_signatures_at_once_are_refused() -> None:
    target = presign("GET", "/b/k", HOST, KEY, SECRET, now=MOMENT, expires=10)
    with pytest.raises(S3Error) as caught:
        check("GET", target, forged())
    assert caught.value.code is Code.AccessDenied
