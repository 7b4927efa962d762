"""The spellings of a moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.s3.moments import (
    format_http,
    format_iso,
    format_stamp,
    parse_http,
    parse_iso,
    parse_stamp,
)

BEYOND = ("9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01", "Fri, 31 Dec 9999 23:59:59 -0001")
"""Dates that are in another year in UTC, one that cannot be written."""


def test_moments() -> None:
    assert format_http(784111777.9) == "Sun, 06 Nov 1994 08:49:37 GMT"
    for text in (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "1994-11-06T08:49:37Z",
        "1994-11-06T09:49:37+01:00",
    ):
        assert parse_http(text) == 784111777.0
    assert format_iso(784111777.25) == "1994-11-06T08:49:37.250Z"
    assert format_iso(0.9999) == "1970-01-01T00:00:01.000Z"
    assert (format_stamp(784111777.9), parse_stamp("19941106T084937Z")) == ("19941106T084937Z", 784111777.0)
    for parse in (parse_http, parse_iso, parse_stamp):
        for text in ("", "x", "9" * 400, "Sun, 99 Nov 1994 08:49:37 GMT", "0000-01-01T00:00:00Z", *BEYOND):
            with pytest.raises(ValueError, match="date"):
                parse(text)


@given(st.floats(0, 4e9))
def test_moments_are_read_as_they_are_written(moment: float) -> None:
    assert abs(parse_iso(format_iso(moment)) - moment) <= 0.001
    assert parse_http(format_http(moment)) == int(moment) == parse_stamp(format_stamp(moment))


@given(st.text(max_size=40))
def test_a_date_is_read_or_refused(text: str) -> None:
    for parse in (parse_http, parse_iso, parse_stamp):
        try:
            assert format_iso(parse(text))
        except ValueError:
            continue
