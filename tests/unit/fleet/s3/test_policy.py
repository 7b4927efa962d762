"""Bucket policies: patterns, and who wins."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.policy import MAX_POLICY, decide, matches, parse_policy
from drystone.testing.fleet.refusals import refusal


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("a*c", "abbc", True),
        ("a*c", "abbd", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*a*b*", "xxaxxbxx", True),
        ("*ab", "aab", True),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("a**", "a", True),
        ("[a]", "a", False),
        (".*", "ab", False),
        ("*" * 50 + "b", "a" * 1000, False),
        ("*a" * 50 + "b", "a" * 1000, False),
    ],
)
def test_patterns(pattern: str, text: str, wanted: bool) -> None:
    assert matches(pattern, text) is wanted


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_regular_expressions_would(pattern: str, text: str) -> None:
    regex = "".join({"*": ".*", "?": "."}.get(each, each) for each in pattern)
    assert matches(pattern, text) is (re.fullmatch(regex, text) is not None)


STATEMENT: dict[str, object] = {
    "Effect": "Allow",
    "Principal": {"AWS": "KEY"},
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::b/*",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"Principal": "*"},
        {"Principal": {"AWS": ["KEY", "*"]}},
        {"Principal": {"Service": "x"}},
        {"Principal": []},
        {"Effect": "Maybe"},
        {"Action": "ec2:Run"},
        {"Action": []},
        {"Action": [5]},
        {"NotAction": "s3:*"},
        {"Resource": "arn:aws:s3:::bb/*"},
        {"Resource": "*"},
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "perhaps"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true", "x": "y"}}},
    ],
)
def test_what_is_not_offered_is_refused(changes: dict[str, object]) -> None:
    assert len(parse_policy(json.dumps({"Statement": [STATEMENT]}), "b")) == 1
    assert refusal(parse_policy, json.dumps({"Statement": [{**STATEMENT, **changes}]}), "b") is Code.MalformedPolicy


def test_its_length_is_in_bytes() -> None:
    texts = [f'{{"Id":"{word * 8000}","Statement":[]}}' for word in ("a", "\u20ac")]
    assert len(texts[0]) == len(texts[1]) < MAX_POLICY
    assert parse_policy(texts[0], "b") == ()
    assert refusal(parse_policy, texts[1], "b") is Code.MalformedPolicy


def test_what_is_said_of_a_wrong_one_is_short() -> None:
    with pytest.raises(S3Error) as caught:
        parse_policy(json.dumps({"Statement": [{**STATEMENT, "x" * 10_000: 1}]}), "b")
    assert len(caught.value.message) < 200


def test_a_denial_wins() -> None:
    one = '{"Effect":"%s","Principal":{"AWS":"K"},"Action":"s3:Get*","Resource":"arn:aws:s3:::b/%s"}'
    both = ",".join((one % ("Allow", "*"), one % ("Deny", "x/*")))
    statements = parse_policy(f'{{"Statement":[{both}]}}', "b")
    for action, resource, wanted in (
        ("s3:GetObject", "b/y", True),
        ("s3:getobject", "b/y", True),
        ("s3:GetObject", "b/x/y", False),
        ("s3:PutObject", "b/y", None),
        ("s3:GetObject", "b", None),
    ):
        assert decide(statements, "K", action, resource, secure=False) is wanted
    assert decide(statements, "L", "s3:GetObject", "b/y", secure=False) is None
