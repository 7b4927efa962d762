"""The page of differences and the table that the tests apply tell of the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drystone.testing.differences import DIFFERENCES, mend

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "differences.md"


def test_the_page_explains_every_difference_and_no_other() -> None:
    text = PAGE.read_text()
    for line, begin, end in (("1.x", "## Of 1.x", "## Of 0.9"), ("0.9", "## Of 0.9", "## Of both")):
        part = text[text.index(begin + "\n") : text.index(end + "\n")]
        assert re.findall(r"^### (.*)$", part, re.MULTILINE) == [each.name for each in DIFFERENCES if each.line == line]


def test_tools_of_a_difference_are_named_in_its_explanation() -> None:
    text = PAGE.read_text()
    for each in DIFFERENCES:
        part = text.split(f"### {each.name}\n", 1)[1].split("\n#", 1)[0]
        assert "As 1.x, see above" in part or "Every failure" in part or all(f"`{tool}" in part for tool in each.tools)


def spell(*ranges: str) -> str:
    return "".join(f" <range {each}/>\n" for each in ranges)


FIRST = 'begin="1" data_begin="9" length="2"'
NEXT = 'begin="3" data_begin="4" length="5"'
FAR = 'begin="4" data_begin="4" length="5"'


@pytest.mark.parametrize(
    ("tool", "theirs", "ours"),
    [
        ("thin_dump", "</superblock>", "</superblock>\n"),
        ("thin_delta", spell(FIRST, NEXT), spell('begin="1" data_begin="9" length="7"')),
        ("thin_delta", spell(FIRST, FAR), spell(FIRST, FAR)),
        ("thin_ls", "as it is", "as it is"),
    ],
)
def test_texts_are_mended(tool: str, theirs: str, ours: str) -> None:
    assert mend("1.x", tool, theirs) == ours


def test_free_blocks_of_the_older_line_are_left_out() -> None:
    text = "TRANSACTION_ID=3\nMETADATA_FREE_BLOCKS=5\n"
    assert mend("0.9", "thin_check", text) == "TRANSACTION_ID=3\n"
    assert mend("1.x", "thin_check", text) == text


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("3.88e+03 kilobytes", "3883.01 kilobytes", True),
        ("1.00e+00", "1.00", True),
        ("3.88e+03 kilobytes", "3893.01 kilobytes", False),
        ("12.34", "12.35", False),
    ],
)
def test_an_estimate_that_the_older_line_shortens_is_the_same_to_its_digits(theirs: str, ours: str, same: bool) -> None:
    tool = "thin_metadata_size"
    assert (mend("0.9", tool, theirs) == mend("0.9", tool, ours)) == same
