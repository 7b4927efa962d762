"""The words of an LVM2 text: names, numbers, strings and marks, each with its place.

The grammar, of which LVM2's own documentation gives only examples:

    text     = { entry }
    entry    = name "{" { entry } "}"  |  name "=" value
    value    = whole | fraction | string | "[" [ scalar { "," scalar } [","] ] "]"

A string stands in double quotes, where a backslash takes away the meaning of a quote or a backslash after it, or in
single quotes, where nothing is taken away. `#` begins a comment that ends with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from drystone.base.errors import DamagedError

LONGEST_TEXT = 16 << 20
"""Bytes of a text that are read: some thirty thousand volumes."""

Kind: TypeAlias = Literal["{", "}", "=", "[", "]", ",", "name", "whole", "fraction", "string", "end"]
"""What a word is; a mark is itself."""

Token: TypeAlias = tuple[Kind, str, int]
"""A word: kind, text (a string has its quotes and backslashes), place in the text of the blanks and comments before it.
A plain tuple: a text of a thousand volumes has forty thousand words."""

_TOKEN = re.compile(
    r"""[ \t\r\n\f\v]*(?:\#[^\n]*(?:\n[ \t\r\n\f\v]*|\Z))*+
    (?:(?P<mark>[{}=\[\],])
      |(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^']*+')
      |(?P<fraction>[+-]?[0-9]*\.[0-9]+(?![A-Za-z0-9_.+-]))
      |(?P<whole>[+-]?[0-9]+(?![A-Za-z0-9_.+-]))
      |(?P<name>[A-Za-z0-9_.+/-]+)
      |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_BLANKS = re.compile(r"(?:[ \t\r\n\f\v]|\#[^\n]*)*+")
_ESCAPED = re.compile(r'\\(["\\])')


def tokenize(text: str) -> Iterator[Token]:
    """The words of `text`, the last one of kind `end`. It takes time in proportion to the text.

    :raises DamagedError: a character that begins no word, or a string without an end; the message tells the line.
    """
    at, match_at = 0, _TOKEN.match
    while match := match_at(text, at):
        kind, word = match.lastgroup, match[match.lastindex or 0]
        yield (word if kind == "mark" else kind), word, at  # type: ignore[misc]  # the pattern's groups are the kinds
        if kind == "end":
            return
        at = match.end()
    raise _describe(text, at)


def unquote(text: str) -> str:
    """What a token of kind `string` says."""
    inner = text[1:-1]
    return _ESCAPED.sub(r"\1", inner) if text[0] == '"' and "\\" in inner else inner


def line_of(text: str, at: int) -> int:
    """The number of the line, from 1 on, of the word that a token's place leads to."""
    return text.count("\n", 0, _after_blanks(text, at)) + 1


def _after_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _describe(text: str, at: int) -> DamagedError:
    place = _after_blanks(text, at)
    line = line_of(text, place)
    if text[place : place + 1] in {'"', "'"}:
        return DamagedError(f"line {line}: a string has no end")
    return DamagedError(f"line {line}: {text[place : place + 20]!r} begins no word")
