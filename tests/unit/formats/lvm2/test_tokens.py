from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.tokens import tokenize, unquote


def words(text: str) -> list[tuple[str, str]]:
    return [(str(kind), word) for kind, word, _ in tokenize(text)][:-1]


def test_every_kind() -> None:
    assert words('a-b.c+1 {x=[1,-2,3.5,"s"]}') == [
        ("name", "a-b.c+1"), ("{", "{"), ("name", "x"), ("=", "="), ("[", "["), ("whole", "1"), (",", ","),
        ("whole", "-2"), (",", ","), ("fraction", "3.5"), (",", ","), ("string", '"s"'), ("]", "]"), ("}", "}"),
    ]  # fmt: skip


def test_names_that_begin_as_numbers() -> None:
    assert words("1a 1.5 1.5.2 12 -x 12-3") == [
        ("name", "1a"), ("fraction", "1.5"), ("name", "1.5.2"), ("whole", "12"), ("name", "-x"), ("name", "12-3"),
    ]  # fmt: skip


def test_comments_and_blanks() -> None:
    assert words('# one\n\t a # two\n\n# three " { \n = "#" # four') == [("name", "a"), ("=", "="), ("string", '"#"')]
    assert words("") == []
    assert words("#") == []


def test_the_end_has_its_place() -> None:
    assert list(tokenize("a  ")) == [("name", "a", 0), ("end", "", 1)]


def test_strings() -> None:
    assert unquote(r'"a\"b\\c\d"') == r'a"b\c\d'
    assert unquote(r"'a\"b'") == r"a\"b"
    assert words('"a\nb" "\\\\" "\\"" \'"\'') == [
        ("string", '"a\nb"'), ("string", r'"\\"'), ("string", r'"\""'), ("string", "'\"'"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a\n"b', "line 2: a string has no end"),
        ('a # x\n# y\n "b\\"', "line 3: a string has no end"),
        ("'", "line 1: a string has no end"),
        ("a ; b", "line 1: '; b' begins no word"),
        ("a \0", "line 1"),
    ],
)
def test_what_is_no_word(text: str, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        list(tokenize(text))


@pytest.mark.parametrize("text", ['"' + "\\a" * 100_000, "#" * 200_000, "# x\n" * 50_000 + ";", "'" + '"' * 100_000])
def test_long_words_take_time_in_proportion(text: str) -> None:
    with_error = text[0] != "#" or text.endswith(";")
    if with_error:
        with pytest.raises(DamagedError):
            list(tokenize(text))
    else:
        assert words(text) == []
