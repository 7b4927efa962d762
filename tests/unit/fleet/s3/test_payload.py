"""How a body is signed and coded."""

from __future__ import annotations

from drystone.fleet.s3.errors import Code
from drystone.fleet.s3.payload import Payload, read_payload
from drystone.testing.fleet.refusals import refusal


def test_payloads() -> None:
    sha = "0" * 64
    assert read_payload(sha, {"content-length": "5"}) == Payload(5, sha)
    assert read_payload("UNSIGNED-PAYLOAD", {}) == Payload(None)
    stream = {"x-amz-decoded-content-length": "5", "content-length": "99", "x-amz-trailer": "x-amz-checksum-crc32"}
    assert read_payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", stream) == Payload(5, "", chunked=True, signed=True)
    assert read_payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER", stream) == Payload(5, "", True, False, ("crc32",))
    for stated, headers, code in (
        ("x", {}, Code.InvalidArgument),
        ("0" * 63, {}, Code.InvalidArgument),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", {}, Code.NotImplemented),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", {}, Code.MissingContentLength),
        (sha, {"content-length": "-1"}, Code.InvalidArgument),
        (sha, {"content-length": "5,5"}, Code.InvalidArgument),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", {**stream, "x-amz-trailer": "x-amz-meta"}, Code.InvalidRequest),
    ):
        assert refusal(read_payload, stated, headers) is code
