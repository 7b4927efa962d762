"""Old presigned URLs: what botocore makes is taken, what was changed is not."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.presigned_v2 import check_old_claim, read_old_claim
from drystone.fleet.s3.target import query_pairs
from drystone.testing.fleet.refusals import refusal

SECRET = "secret-of-the-key"


def make(method: str, target: str, headers: dict[str, str] | None = None) -> tuple[str, float]:
    """A presigned target, and when it expires."""
    request = AWSRequest(method, f"http://s3.example{target}", headers=headers or {})
    HmacV1QueryAuth(Credentials("KEY", SECRET), expires=60).add_auth(request)
    parts = urlsplit(request.url)
    pairs = dict(query_pairs(parts.query))
    return f"{parts.path}?{parts.query}", float(pairs[b"Expires"])


def check(method: str, target: str, now: float, headers: dict[str, str] | None = None, secret: str = SECRET) -> str:
    path, _, query = target.partition("?")
    pairs = query_pairs(query)
    claim = read_old_claim(pairs, headers or {})
    assert claim is not None
    check_old_claim(claim, secret, method, path, pairs, headers or {}, now=now)
    return claim.access_key


@pytest.mark.parametrize(
    "target",
    [
        "/bucket/key",
        "/bucket/a%20b/%C3%BC%2B",
        "/bucket/key?versionId=v%2F1",
        "/bucket/key?response-content-type=a%2Fb&response-expires=x%20y",
        "/bucket/key?uploadId=u&partNumber=3",
        "/bucket?acl",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_botocore_makes_is_taken(method: str, target: str) -> None:
    made, expires = make(method, target)
    assert check(method, made, expires) == "KEY"


def test_what_was_changed_is_refused() -> None:
    made, expires = make("GET", "/bucket/key?versionId=1")
    for method, target, secret in (
        ("PUT", made, SECRET),
        ("GET", made.replace("key", "other", 1), SECRET),
        ("GET", made.replace("versionId=1", "versionId=2"), SECRET),
        ("GET", made.replace(f"Expires={expires:.0f}", f"Expires={expires + 1:.0f}"), SECRET),
        ("GET", made, "another"),
    ):
        assert refusal(check, method, target, expires - 10, secret=secret) is Code.SignatureDoesNotMatch
    headers = {"x-amz-copy-source": "bucket/secret"}
    assert refusal(check, "GET", made, expires, headers) is Code.SignatureDoesNotMatch


@pytest.mark.parametrize("more", ["&prefix=x", "&list-type=2", "&x-amz-acl=public-read", "&versionId=1&versionId=2"])
def test_what_nobody_signed_is_refused(more: str) -> None:
    made, expires = make("GET", "/bucket/key")
    assert refusal(check, "GET", made + more, expires) is Code.AccessDenied


def test_it_expires_and_has_bounds() -> None:
    made, expires = make("GET", "/bucket/key")
    assert refusal(check, "GET", made, expires + 1) is Code.AccessDenied
    assert refusal(check, "GET", made, expires - 604801) is Code.AccessDenied
    for text in ("", "x", "-1", "9" * 13, "1.5"):
        changed = made.replace(f"Expires={expires:.0f}", f"Expires={text}")
        assert refusal(check, "GET", changed, expires) is Code.AccessDenied


def test_it_is_the_only_claim() -> None:
    made, _ = make("GET", "/bucket/key")
    with pytest.raises(S3Error):
        read_old_claim(query_pairs(made.partition("?")[2]), {"authorization": "x"})
    assert read_old_claim([(b"AWSAccessKeyId", b"KEY"), (b"Expires", b"5")], {}) is None
