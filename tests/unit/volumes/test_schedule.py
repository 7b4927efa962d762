"""When a schedule is due and what it keeps, as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from drystone.base.errors import UsageError
from drystone.volumes.schedule import (
    Schedule,
    State,
    Wish,
    check_cron,
    next_run,
    parse_every,
    parse_keep,
    spell_every,
    wait_after,
)

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def make(*, last: datetime | None = None, **wish: object) -> Schedule:
    asked = Wish(snapshots="1", created=NOON.isoformat(), **wish)  # type: ignore[arg-type]
    return Schedule(uuid="u", name="n", volume="v", wish=asked, state=State(last=last.isoformat() if last else ""))


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("1h", 3600), ("2d", 172800), ("1w", 604800)])
def test_intervals(text: str, seconds: int) -> None:
    assert parse_every(text) == seconds
    assert spell_every(seconds) == text


@pytest.mark.parametrize("text", ["", "1", "0h", "-1h", "1s", "1.5h", "1h30m", "h", "\u0661h", "9999999m"])
def test_what_is_no_interval(text: str) -> None:
    with pytest.raises(UsageError, match="is no interval"):
        parse_every(text)


@pytest.mark.parametrize("text", ["999999w", "523w", "3661d"])
def test_an_interval_that_is_too_long(text: str) -> None:
    with pytest.raises(UsageError, match="ten years are the most"):
        parse_every(text)


def test_what_is_kept() -> None:
    assert parse_keep("24").last == 24
    policy = parse_keep("last=3, daily=7,weekly=4")
    assert (policy.last, policy.hourly, policy.daily, policy.weekly) == (3, 0, 7, 4)


@pytest.mark.parametrize("text", ["", "x", "0", "last=0,daily=0", "3,last=4", "daily=", "secondly=3", "-1", "1,,2"])
def test_what_keeps_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="keep"):
        parse_keep(text)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "* * * *",
        "* * * * * *",
        "61 * * * *",
        "0 3 30 2 *",
        "a b c d e",
        "@daily",
        "*/0 * * * *",
        f"{'9' * 5000} * * * *",
    ],
)
def test_what_is_no_line_of_cron(line: str) -> None:
    with pytest.raises(UsageError, match="cron line"):
        check_cron(line, NOON)


def test_an_interval_counts_from_the_last_run() -> None:
    schedule = make(every=3600)
    assert next_run(schedule, NOON + timedelta(minutes=5)) == NOON + timedelta(hours=1)
    schedule = make(every=3600, last=NOON + timedelta(minutes=70))
    assert next_run(schedule, NOON + timedelta(minutes=80)) == NOON + timedelta(minutes=130)


def test_missed_runs_are_one() -> None:
    """Whatever was missed, what is due is one moment that has passed, and after it the next one is to come."""
    for wish in ({"every": 3600}, {"cron": "0 * * * *"}):
        later = NOON + timedelta(days=3, minutes=30)
        assert next_run(make(**wish), later) < later
        assert later < next_run(make(last=later, **wish), later) <= later + timedelta(hours=1)


def test_a_line_of_cron_is_of_local_time() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    found = next_run(make(cron="0 3 * * *"), NOON.astimezone(east))
    assert found == datetime(2026, 3, 11, 3, 0, tzinfo=east)


def test_a_last_run_in_the_future_counts_as_now() -> None:
    later = NOON + timedelta(days=4000)
    assert next_run(make(every=3600, last=later), NOON) == NOON + timedelta(hours=1)
    assert next_run(make(cron="0 3 * * *", last=later), NOON) == datetime(2026, 3, 11, 3, 0, tzinfo=UTC)


def test_failures_wait_longer_and_not_for_ever() -> None:
    assert [wait_after(each) for each in (1, 2, 3, 6, 7, 1000)] == [60, 120, 240, 1920, 3600, 3600]
