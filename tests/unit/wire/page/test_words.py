"""Values as people read them."""

import pytest

from drystone.wire.page.words import spell_count, spell_moment, spell_seconds, spell_size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not known"),
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (61, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7380, "2 h 3 min"),
        (86_400, "1 d"),
        (190_800, "2 d 5 h"),
    ],
)
def test_spans_of_time(seconds: float | None, text: str) -> None:
    assert spell_seconds(seconds) == text


def test_sizes_moments_and_counts() -> None:
    assert spell_size(None) == "not known"
    assert spell_size(1536) == "1.5 KiB"
    assert spell_moment(0) == "never"
    assert spell_moment(86_399) == "1970-01-01 23:59:59"
    assert [spell_count(each, "copy", "copies") for each in (0, 1, 1234)] == ["0 copies", "1 copy", "1,234 copies"]
