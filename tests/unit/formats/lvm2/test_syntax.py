from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2 import syntax
from drystone.formats.lvm2.syntax import DEEPEST, parse


def test_sections_and_values() -> None:
    text = b'vg {\n\tid = "x"\t# comment\n flags = []\n a=[ "b", 1, 2.5, ]\n lv { 42 { n = -7 } } "q r" = 0\n}\nx=1'
    assert parse(text) == {
        "vg": {"id": "x", "flags": (), "a": ("b", 1, 2.5), "lv": {"42": {"n": -7}}, "q r": 0},
        "x": 1,
    }  # fmt: skip


def test_bytes_that_are_no_text() -> None:
    assert parse(b'a = "\xff\xc3\xa9"') == {"a": "\ufffdé"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "line 1: = or { is missing after 'a'"),
        ("a = ", "line 1: the text ends where a value"),
        ("a = }", "line 1: '}' stands where a value"),
        ("a = b", "line 1: 'b' stands where a value"),
        ("a {", "ends within 1 sections"),
        ("a { b {}", "ends within 1 sections"),
        ("a { } }", "line 1: a } closes nothing"),
        ("= 1", "line 1: a name was expected, not '='"),
        ("a = [1", "line 1: a list goes on with , or ends"),
        ("a = [1 2]", "line 1: a list goes on"),
        ("a = [[1]]", "line 1: '\\[' stands where a value"),
        ('"a\nb" = 1 "a\nb" = 2', r"line 2: 'a\\nb' stands here a second time"),
        ("a" * 5000, f"is missing after '{'a' * 40}'$"),
        ("a = 1\n\na = 2", "line 3: 'a' stands here a second time"),
        ("a = 9223372036854775808", "line 1: a number has more than 64 bits"),
        ("a = " + "9" * 5000, "line 1: a number has more than 64 bits"),
        ("a = " + "9" * 50 + ".5", "line 1: a number has more than 64 bits"),
    ],
)
def test_what_is_no_text(text: str, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        parse(text.encode())


def test_depth_is_bounded() -> None:
    assert parse(b"a {" * DEEPEST + b"}" * DEEPEST)
    with pytest.raises(DamagedError, match=f"more than {DEEPEST} sections"):
        parse(b"a {" * (DEEPEST + 1) + b"}" * (DEEPEST + 1))


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DamagedError, match="is longer than"):
        parse(bytes((16 << 20) + 1))
    monkeypatch.setattr(syntax, "MOST_VALUES", 10)
    assert parse(b"a = [1,2,3,4,5,6,7,8,9]")
    with pytest.raises(DamagedError, match="more than 10 values"):
        parse(b"a = [1,2,3,4,5,6,7,8,9,10]")
