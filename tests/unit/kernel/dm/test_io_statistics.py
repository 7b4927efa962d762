"""Messages of dm-stats and their answers."""

from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError
from drystone.kernel.dm.io_statistics import IoCounts, Region, create_message, parse_counts, parse_list

COUNTED = "0+2048 3 1 24 9000000 5 0 40 20000000 1 100 200 300 400"
"""As Linux 6.1 prints it: one area, nanoseconds."""


def test_a_region_is_asked_for_in_nanoseconds_with_a_histogram() -> None:
    assert create_message(2048, (0.0001, 0.25, 5.0), "us") == (
        "@stats_create 0+2048 /1 2 precise_timestamps histogram:100000,250000000,5000000000 us"
    )


def test_regions_are_told_from_those_of_others() -> None:
    text = "0: 0+2048 2048 us - precise_timestamps histogram:100000,5000000000\n2: 8+16 16 - -\n"
    assert parse_list(text) == [Region(0, 0, 2048, "us"), Region(2, 8, 16, "-")]
    assert parse_list("") == []


def test_counters_are_bytes_and_seconds() -> None:
    expected = IoCounts(3, 24 * 512, 0.009, 5, 40 * 512, 0.02, 1)
    assert parse_counts(f"{COUNTED}\n") == expected
    assert parse_counts(f"{COUNTED} 6:1:1\n").slower == (6, 1, 1)


@pytest.mark.parametrize(
    "text", ["", "0+2048", COUNTED.removesuffix(" 400"), f"{COUNTED} 1 2", f"{COUNTED} 1:x", f"{COUNTED} -1", "x" * 300]
)
def test_other_answers_are_no_counters(text: str) -> None:
    with pytest.raises(DamagedError, match="counters"):
        parse_counts(text)


@pytest.mark.parametrize("text", ["x", "0: 0 2048 us -", "0: 0+2048 2048"])
def test_other_answers_are_no_list(text: str) -> None:
    with pytest.raises(DamagedError, match="region"):
        parse_list(text)
