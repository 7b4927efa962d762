"""How fast copies grow."""

from drystone.fleet.mapping.page.pace import Pace

COPY = ("p", "d")


def test_the_pace_is_known_after_two_sizes() -> None:
    pace = Pace()
    assert pace.rate(COPY, 0.0) is None
    pace.note(COPY, 100, 0.0)
    pace.note(COPY, 100, 10.0)
    assert pace.rate(COPY, 10.0) is None
    pace.note(COPY, 400, 30.0)
    assert pace.rate(COPY, 31.0) == 10.0


def test_a_copy_that_stands_still_has_no_pace() -> None:
    pace = Pace()
    pace.note(COPY, 0, 0.0)
    pace.note(COPY, 300, 30.0)
    assert pace.rate(COPY, 119.0) == 10.0
    assert pace.rate(COPY, 121.0) is None


def test_only_the_last_sizes_count() -> None:
    pace = Pace()
    for each in range(20):
        pace.note(COPY, each * each, float(each))
    assert pace.rate(COPY, 19.0) == (19 * 19 - 12 * 12) / 7


def test_a_copy_that_shrank_begins_anew_and_one_that_is_complete_is_forgotten() -> None:
    pace = Pace()
    pace.note(COPY, 0, 0.0)
    pace.note(COPY, 300, 30.0)
    pace.note(COPY, 50, 40.0)
    assert pace.rate(COPY, 41.0) is None
    pace.note(COPY, 150, 50.0)
    assert pace.rate(COPY, 50.0) == 10.0
    pace.keep([])
    assert pace.rate(COPY, 50.0) is None
