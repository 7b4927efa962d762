"""Ranges of bytes, of copies and of parts."""

from __future__ import annotations

import pytest

from drystone.fleet.s3.errors import Code
from drystone.fleet.s3.ranges import resolve_copy_range, resolve_part, resolve_range
from drystone.testing.fleet.refusals import refusal


@pytest.mark.parametrize(
    ("header", "size", "wanted"),
    [
        ("", 10, None),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=3-", 10, (3, 10)),
        ("bytes=3-99", 10, (3, 10)),
        ("bytes=-4", 10, (6, 10)),
        ("bytes=-99", 10, (0, 10)),
        (" Bytes = 1 - 2 ", 10, (1, 3)),
        ("bytes=5-3", 10, None),
        ("bytes=1-2,4-5", 10, None),
        ("bytes=-", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=\u0661-\u0662", 10, None),
        ("bytes=" + "9" * 30 + "-", 10, None),
        ("items=0-1", 10, None),
        ("bytes=1" + " " * 50, 10, None),
    ],
)
def test_ranges(header: str, size: int, wanted: tuple[int, int] | None) -> None:
    assert resolve_range(header, size) == wanted


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_ranges_outside(header: str, size: int) -> None:
    assert refusal(resolve_range, header, size) is Code.InvalidRange


def test_ranges_of_copies_and_parts() -> None:
    assert resolve_copy_range("", 10) == (0, 10)
    assert resolve_copy_range("bytes=2-9", 10) == (2, 10)
    for header in ("bytes=2-", "bytes=-2", "2-3", "bytes=3-2"):
        assert refusal(resolve_copy_range, header, 10) is Code.InvalidArgument
    assert refusal(resolve_copy_range, "bytes=2-10", 10) is Code.InvalidRange
    assert [resolve_part(number, (5, 3, 2), 10) for number in (1, 2, 3)] == [(0, 5), (5, 8), (8, 10)]
    assert resolve_part(1, (), 10) == (0, 10)
    assert refusal(resolve_part, 4, (5, 3, 2), 10) is Code.InvalidPartNumber
