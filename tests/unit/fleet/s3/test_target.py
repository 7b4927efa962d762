"""Targets, decoded and in one spelling."""

from __future__ import annotations

from drystone.fleet.s3.errors import Code
from drystone.fleet.s3.target import canonical_path, decode_path, decode_query, query_pairs, split_target
from drystone.testing.fleet.refusals import refusal


def test_targets() -> None:
    assert split_target("/a?b=c?d#e") == ("/a", "b=c?d")
    assert split_target("/a") == ("/a", "")
    assert canonical_path("/a%2Fb/+~%7e%c3%a9 ") == "/a/b/%2B~~%C3%A9%20"
    assert query_pairs("a=1&b&&c=%26+d&a=2") == [(b"a", b"1"), (b"b", b""), (b"c", b"& d"), (b"a", b"2")]
    assert decode_query("a=1&a=2&b") == {"a": "1", "b": ""}
    assert decode_path("/%C3%A9") == "/\u00e9"
    for path in ("/%FF", "relative", "*", ""):
        assert refusal(decode_path, path) is Code.InvalidURI
    assert refusal(decode_query, "a=%FF") is Code.InvalidURI
    assert refusal(decode_query, "a=%00") is Code.InvalidArgument
