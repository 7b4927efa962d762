"""Words of parameters, split as the kernel splits them."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.kernel.dm.words import WordReader, join_words, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \t\n ", []),
        (" a  b\tc ", ["a", "b", "c"]),
        ("a\\ b \\\\ \\c", ["a b", "\\", "c"]),
        ("end\\", ["end\\"]),
    ],
)
def test_split(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_join_quotes() -> None:
    assert join_words(["a b", 1, "\\"]) == "a\\ b 1 \\\\"


def test_a_complaint_names_the_target_and_has_the_text() -> None:
    reader = WordReader("era", "7:0 x")
    reader.word("the metadata device")
    with pytest.raises(UsageError, match="era: the block size 'x' is not a whole number") as caught:
        reader.whole("the block size")
    assert "7:0 x" in caught.value.hint
    with pytest.raises(UsageError, match="the policy is missing"):
        reader.word("the policy")


def test_counts_are_checked_before_anything_is_taken() -> None:
    reader = WordReader("cache", "99999999 a")
    with pytest.raises(UsageError, match="99999999 words are announced, 1 are there"):
        reader.counted("features")
