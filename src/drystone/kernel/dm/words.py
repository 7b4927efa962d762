"""The words of target parameters, statuses and messages, and a reader of them.

Facts: Linux 6.1 `drivers/md/dm-table.c`, dm_split_args: blanks part words, a backslash quotes one character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn

from drystone.base.characters import DIGITS, is_made_of
from drystone.base.errors import UsageError

_WORD = r"(?s:\\.|[^ \t\n\v\f\r])+"
_ESCAPED = r"(?s)\\(.)"
_SPECIAL = r"([ \t\n\v\f\r\\])"
"""Patterns, compiled when a text needs them: hardly any does."""
_LARGEST = (1 << 64) - 1


def split_words(text: str) -> list[str]:
    """The words of `text`, without their quoting."""
    if _is_plain(text):
        return text.split()
    return [re.sub(_ESCAPED, r"\1", word) for word in re.findall(_WORD, text)]


def join_words(words: Iterable[object]) -> str:
    """The inverse of `split_words`."""
    return " ".join(_quote(str(word)) for word in words)


def _quote(word: str) -> str:
    return word if _is_plain(word) and " " not in word else re.sub(_SPECIAL, r"\\\1", word)


def _is_plain(text: str) -> bool:
    """Whether blanks are all that parts its words, and nothing is quoted."""
    return text.isascii() and text.isprintable() and "\\" not in text


class WordReader:
    """Takes the words of one text from the left.

    Every complaint is a UsageError that names `kind`, what was looked for, and the whole text.
    """

    def __init__(self, kind: str, params: str) -> None:
        self.kind = kind
        self.words = split_words(params)
        self.at = 0

    def fail(self, message: str) -> NoReturn:
        raise UsageError(f"{self.kind}: {message}", hint=f"the words were {join_words(self.words)!r}")

    @property
    def left(self) -> int:
        return len(self.words) - self.at

    def word(self, what: str) -> str:
        if not self.left:
            self.fail(f"{what} is missing")
        self.at += 1
        return self.words[self.at - 1]

    def whole(self, what: str) -> int:
        text = self.word(what)
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= _LARGEST):
            self.fail(f"{what} {text!r} is not a whole number")
        return int(text)

    def ratio(self, what: str) -> tuple[int, int]:
        """`7/9`, as targets report how much of something is used or done."""
        text = self.word(what)
        part, _, whole = text.partition("/")
        if not is_made_of(part, DIGITS, 20) or not is_made_of(whole, DIGITS, 20):
            self.fail(f"{what} {text!r} is not of the form 1/2")
        return int(part), int(whole)

    def take(self, count: int, what: str) -> tuple[str, ...]:
        if count > self.left:
            self.fail(f"{what}: {count} words are announced, {self.left} are there")
        self.at += count
        return tuple(self.words[self.at - count : self.at])

    def counted(self, what: str) -> tuple[str, ...]:
        return self.take(self.whole(f"the number of {what}"), what)

    def features(self, known: Iterable[str], *, most: int, any_case: bool = True) -> frozenset[str]:
        """`[<n> <feature>...]` with n up to `most`; none when no word is left."""
        words = self.counted("features") if self.left else ()
        if len(words) > most:
            self.fail(f"{len(words)} features are given, {most} are taken")
        given = frozenset(word.lower() if any_case else word for word in words)
        for name in sorted(given.difference(known)):
            self.fail(f"feature {name!r} is not known")
        return given

    def end(self) -> None:
        if self.left:
            self.fail(f"{self.left} words too many, from {self.words[self.at]!r}")
