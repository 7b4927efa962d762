"""What plain string methods say of a text is what the patterns in the documents say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.base.characters import WORD, is_made_of
from drystone.base.errors import UsageError
from drystone.base.names import LONGEST_NAME, check_name
from drystone.base.sizes import parse_size
from drystone.dvm import references
from drystone.dvm.groups import rules
from drystone.kernel.dm.nodes import mangle
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.dm.words import WordReader

TEXTS = st.text("aZ09-_.:/{}+ \t\n\xa0\u2003\u0663\u00e9@#=%\\x7f\0(),kKgG", max_size=12)
"""Whatever a pattern may take for something else: blanks and digits of other alphabets, ends of lines."""


def is_taken(action: object, *arguments: object) -> bool:
    assert callable(action)
    try:
        action(*arguments)
    except UsageError:
        return False
    return True


@given(TEXTS, st.integers(0, 5))
def test_characters(text: str, most: int) -> None:
    wanted = re.fullmatch("[a-zA-Z0-9]+" if not most else f"[a-zA-Z0-9]{{1,{most}}}", text)
    assert is_made_of(text, WORD, most) == (wanted is not None)


@given(TEXTS)
def test_names(text: str) -> None:
    assert is_taken(check_name, text) == (re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", text) is not None)
    known = re.fullmatch(r"[^\s/{}\x00-\x20\x7f]+", text) is not None and text not in (".", "..") and text.isprintable()
    assert is_taken(references.check_device_name, text) == known
    assert rules._is_part(text) == (re.fullmatch(r"[a-z]+[0-9]*(:[a-z]+[0-9]*)*", text) is not None)


def test_long_names() -> None:
    assert is_taken(check_name, "a" * LONGEST_NAME)
    assert not is_taken(check_name, "a" * (LONGEST_NAME + 1))


@given(TEXTS)
def test_sizes(text: str) -> None:
    assert is_taken(parse_size, text) == (re.fullmatch("([0-9]+)([kmgtKMGT]?)", text) is not None)


def test_a_size_of_too_many_digits_is_too_large() -> None:
    for digits in (30, 4000, 4001, 100_000):
        with pytest.raises(UsageError, match="larger than a block device can be"):
            parse_size("9" * digits)


@given(st.sampled_from(["logon", "user", "encrypted", "trusted", "other", ""]), st.sampled_from([":", "", "::"]), TEXTS)
def test_keys(kind: str, colon: str, text: str) -> None:
    key = f"{kind}{colon}{text}"
    wanted = re.fullmatch(r"(logon|user|encrypted|trusted):[^\s\x00-\x20]+", key) is not None
    assert rules._is_key(key) == wanted


@given(st.lists(st.one_of(TEXTS, st.from_regex(r"\{[^{}]{0,3}\}", fullmatch=True)), max_size=4))
def test_references(words: list[str]) -> None:
    params = " ".join(words)
    found = (re.fullmatch(r"\{([^{}]*)\}", word) for word in params.split())
    names = tuple(match[1] for match in found if match)
    assert references.names_in(params) == names
    replaced = references.with_names_replaced(params, lambda name: f"<{name}>")
    assert replaced.split() == [
        f"<{match[1]}>" if (match := re.fullmatch(r"\{([^{}]*)\}", word)) else word for word in params.split()
    ]


@given(st.lists(st.one_of(TEXTS, st.from_regex("[0-9]{1,5}:[0-9]{1,8}", fullmatch=True)), max_size=4))
def test_numbers_of_devices(words: list[str]) -> None:
    params = " ".join(words)
    pattern = "([0-9]{1,4}):([0-9]{1,7})"
    matches = [re.fullmatch(pattern, word) for word in params.split()]
    names = {DeviceNumber(int(match[1]), int(match[2])): "name" for match in matches if match}
    replaced = references.with_numbers_replaced(params, names)
    assert replaced.split() == [
        "{name}" if match else word for match, word in zip(matches, params.split(), strict=True)
    ]


@given(st.one_of(TEXTS, st.from_regex("[0-9]{1,22}/[0-9]{1,22}", fullmatch=True)))
def test_ratios(text: str) -> None:
    words = WordReader("status", text)
    if len(words.words) == 1:
        word = words.words[0]
        match = re.fullmatch("([0-9]{1,20})/([0-9]{1,20})", word)
        assert is_taken(words.ratio, "blocks") == (match is not None)


@given(TEXTS)
def test_nodes(text: str) -> None:
    assert (mangle(text) == text) == (re.fullmatch(r"([A-Za-z0-9#+\-.:=@_]|\\x[0-9a-fA-F]{2})*", text) is not None)
