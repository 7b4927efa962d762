"""Headers as values."""

from __future__ import annotations

from drystone.fleet.objects import Conditions
from drystone.fleet.s3 import fields
from drystone.fleet.s3.errors import Code
from drystone.testing.fleet.refusals import refusal

NOW = 1_790_000_000.0


def test_headers_that_are_kept() -> None:
    headers = {"content-type": "a/b", "content-encoding": "deflate, aws-chunked,gzip", "x-amz-meta-a": "b", "host": "h"}
    assert fields.read_kept(headers) == {"content-type": "a/b", "content-encoding": "deflate, gzip"}
    assert fields.read_kept({"content-encoding": "aws-chunked"}) == {}
    assert fields.read_user(headers) == {"a": "b"}
    assert refusal(fields.read_user, {"x-amz-meta-a": "x" * 2048}) is Code.MetadataTooLarge


def test_conditions_in_headers() -> None:
    assert fields.read_etags('"a", W/"b", c,*') == ("a", "b", "c", "*")
    assert fields.read_etags("") == fields.read_etags(" , ,") == ()
    assert fields.read_etags('""') == ("",), "that of nothing, which is no condition left out"
    for text in ('"a', 'a"', "a b", '"a" "b"', "a,b c"):
        assert refusal(fields.read_etags, text) is Code.InvalidArgument
    read = fields.read_conditions({"if-match": '"a"', "if-modified-since": "nonsense", "if-none-match": "*"})
    assert read == Conditions(if_match=("a",), if_none_match=("*",))


def test_locks_in_headers() -> None:
    headers = {
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": "2999-01-01T00:00:00Z",
        "x-amz-object-lock-legal-hold": "ON",
    }
    wanted = {"mode": "COMPLIANCE", "until": "2999-01-01T00:00:00.000Z", "hold": "ON"}
    assert fields.read_lock(headers, NOW) == wanted
    for name, text in (("mode", "x"), ("retain-until-date", "1999-01-01T00:00:00Z"), ("legal-hold", "on")):
        assert refusal(fields.read_lock, {**headers, f"x-amz-object-lock-{name}": text}, NOW) is Code.InvalidArgument
