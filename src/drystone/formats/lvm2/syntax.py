"""LVM2's text configuration: from text to sections of values, bounded in depth and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.tokens import LONGEST_TEXT, Token, line_of, tokenize, unquote

DEEPEST = 16
"""Sections within sections; a group's text has four."""
MOST_VALUES = 2_000_000
"""Values of all sections and lists together."""
_LARGEST = (1 << 63) - 1
_SHOWN = 40
_NAMES = frozenset({"name", "whole", "fraction"})  # a volume may be called 42, or 1.5

Scalar: TypeAlias = int | float | str
Value: TypeAlias = Scalar | tuple[Scalar, ...]
Section: TypeAlias = "dict[str, Value | Section]"


def parse(data: bytes) -> Section:
    """The sections of a text.

    Strings that are no UTF-8 have U+FFFD in the places that are not.

    :raises DamagedError: it is no such text, a name stands twice in a section, a number has more than 64 bits, or the
        text is longer or deeper than is read; the message tells the line.
    """
    if len(data) > LONGEST_TEXT:
        raise DamagedError(f"a text of {len(data)} bytes is longer than the {LONGEST_TEXT} that are read")
    return _Parser(data.decode("utf-8", errors="replace")).parse()


class _Parser:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: Iterator[Token] = tokenize(text)
        self.values = 0

    def parse(self) -> Section:
        section: Section = {}
        outer: list[Section] = []
        tokens = self.tokens
        for token in tokens:
            kind, name, _ = token
            if kind == "}":
                if not outer:
                    raise self.fail(token, "a } closes nothing")
                section = outer.pop()
                continue
            if kind == "end":
                break
            if kind == "string":
                name = unquote(name)
            elif kind not in _NAMES:
                raise self.fail(token, f"a name was expected, not {_show(name)}")
            if name in section:
                raise self.fail(token, f"{_show(name)} stands here a second time")
            self.count(token)
            mark = next(tokens)
            if mark[0] == "=":
                section[name] = self.value()
            elif mark[0] == "{":
                if len(outer) == DEEPEST:
                    raise self.fail(mark, f"more than {DEEPEST} sections within each other")
                outer.append(section)
                section[name] = section = {}
            else:
                raise self.fail(mark, f"= or {{ is missing after {_show(name)}")
        if outer:
            raise DamagedError(f"the text ends within {len(outer)} sections")
        return section

    def value(self) -> Value:
        token = next(self.tokens)
        if token[0] != "[":
            return self.scalar(token)
        found: list[Scalar] = []
        while (token := next(self.tokens))[0] != "]":
            found.append(self.scalar(token))
            self.count(token)
            token = next(self.tokens)
            if token[0] == "]":
                break
            if token[0] != ",":
                raise self.fail(token, "a list goes on with , or ends with ]")
        return tuple(found)

    def scalar(self, token: Token) -> Scalar:
        kind, text, _ = token
        if kind == "string":
            return unquote(text)
        if kind == "whole":
            number = int(text) if len(text) <= 20 else _LARGEST + 1
            if not -_LARGEST <= number <= _LARGEST:
                raise self.fail(token, "a number has more than 64 bits")
            return number
        if kind == "fraction":
            if len(text) > 40:
                raise self.fail(token, "a number has more than 64 bits")
            return float(text)
        what = "the text ends" if kind == "end" else f"{_show(text)} stands"
        raise self.fail(token, f"{what} where a value was expected")

    def count(self, token: Token) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise self.fail(token, f"more than {MOST_VALUES} values")

    def fail(self, token: Token, message: str) -> DamagedError:
        return DamagedError(f"line {line_of(self.text, token[2])}: {message}")


def _show(word: str) -> str:
    """What a text says, for a message: on one line, however long it is."""
    return repr(word[:_SHOWN])
