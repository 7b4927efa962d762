"""Whole numbers as requests spell them."""

from __future__ import annotations

from drystone.fleet.s3.numbers import parse_number


def test_numbers() -> None:
    assert [parse_number(text) for text in ("0", "007", "9" * 19)] == [0, 7, int("9" * 19)]
    for text in ("", "-1", "+1", " 1", "1 ", "1_0", "1.0", "x", "\u0661", "\u00b2", "9" * 20, "9" * 5000):
        assert parse_number(text) is None
