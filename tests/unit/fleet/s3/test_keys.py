"""Names of buckets and objects."""

from __future__ import annotations

from drystone.fleet.s3.errors import Code
from drystone.fleet.s3.keys import check_key, check_new_bucket, is_namespace
from drystone.testing.fleet.refusals import refusal


def test_names() -> None:
    for name in ("abc", "a-b.c9", "a" * 63, "0ab"):
        check_new_bucket(name)
        assert is_namespace(name)
    for name in (
        "",
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-ab",
        "ab.",
        "a..b",
        "192.168.0.1",
        "api",
        "internal",
        "a\n",
        "\u00e9ab",
    ):
        assert refusal(check_new_bucket, name) is Code.InvalidBucketName
    assert is_namespace("Zbase_1")
    for name in ("", ".", "..", "a/b", "api", "-a", "a" * 256, "a\n"):
        assert not is_namespace(name)
    for key in ("a", "x" * 1024, "\u00e9" * 512, "\n", "a/../b", "/"):
        check_key(key)
    assert refusal(check_key, "x" * 1025) is Code.KeyTooLongError
    assert refusal(check_key, "\u00e9" * 513) is Code.KeyTooLongError
    assert refusal(check_key, "a\0b") is Code.InvalidArgument
    assert refusal(check_key, "") is Code.InvalidArgument
