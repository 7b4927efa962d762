"""What a policy keeps, with the reasons; the same answers as restic's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drystone.backup.collecting.retention import Decision, Duration, Policy, decide, parse_duration
from drystone.backup.format.manifest import Head
from drystone.base.errors import UsageError

VOLUME = "11111111-1111-4111-8111-111111111111"


def head(created: str, number: int = 0, volume: str = VOLUME) -> Head:
    return Head(
        backup=f"{number:08d}-0000-4000-8000-000000000000", volume=volume, parent="", created=created, source="s",
        size=0, chunk_size=65536, segment_slots=4, root="", chunks=0, read=0, stored=0, about={},
    )  # fmt: skip


def times(*created: str) -> list[Head]:
    return [head(each, number) for number, each in enumerate(created)]


def kept(decisions: list[Decision[Head]]) -> list[str]:
    return [each.backup.created[:16] for each in decisions if each.kept]


def test_last_keeps_the_newest() -> None:
    backups = times("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-02T00:00:00Z")
    decisions = decide(backups, Policy(last=2))
    assert kept(decisions) == ["2026-01-03T00:00", "2026-01-02T00:00"]
    assert [each.reasons for each in decisions] == [("last 1 of 2",), ("last 2 of 2",), ()]


def test_the_newest_of_each_period_stays() -> None:
    backups = times(
        "2026-03-01T08:00:00Z", "2026-03-01T20:00:00Z", "2026-03-02T08:00:00Z", "2026-03-02T20:00:00Z",
        "2026-03-04T08:00:00Z",
    )  # fmt: skip
    assert kept(decide(backups, Policy(daily=2))) == ["2026-03-04T08:00", "2026-03-02T20:00"]
    assert kept(decide(backups, Policy(daily=3)))[-1] == "2026-03-01T20:00"


def test_the_oldest_counts_while_a_rule_has_some_left() -> None:
    backups = times("2026-03-01T08:00:00Z", "2026-03-01T20:00:00Z", "2026-03-02T20:00:00Z")
    decisions = decide(backups, Policy(daily=7))
    assert decisions[-1].reasons == ("daily 3 of 7, the oldest",)
    assert kept(decide(backups, Policy(daily=2))) == ["2026-03-02T20:00", "2026-03-01T20:00"]


def test_several_rules_each_give_a_reason() -> None:
    days = [datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=number) for number in range(60)]
    decisions = decide(times(*(each.isoformat() for each in days)), Policy(last=1, weekly=2, monthly=2, yearly=1))
    assert decisions[0].reasons == ("last 1 of 1", "weekly 1 of 2", "monthly 1 of 2", "yearly 1 of 1")
    # 1 March 2026 is a Sunday: its week began in February.
    assert kept(decisions) == ["2026-03-01T12:00", "2026-02-28T12:00", "2026-02-22T12:00"]


def test_a_time_zone_moves_the_day() -> None:
    backups = times("2026-06-01T21:00:00Z", "2026-06-01T23:00:00Z", "2026-06-02T01:00:00Z", "2026-05-30T00:00:00Z")
    assert kept(decide(backups, Policy(daily=2))) == ["2026-06-02T01:00", "2026-06-01T23:00"]
    assert kept(decide(backups, Policy(daily=2, timezone="Europe/Berlin"))) == ["2026-06-02T01:00", "2026-06-01T21:00"]


def test_the_hour_that_comes_twice_is_two() -> None:
    backups = times("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-24T00:30:00Z")
    assert len(kept(decide(backups, Policy(hourly=2, timezone="Europe/Berlin")))) == 2


def test_within_counts_from_the_newest_backup() -> None:
    backups = times("2020-03-31T00:00:00Z", "2020-03-01T00:00:00Z", "2020-02-28T00:00:00Z", "2020-02-29T00:00:00Z")
    assert kept(decide(backups, Policy(within=parse_duration("1m")))) == [
        "2020-03-31T00:00", "2020-03-01T00:00", "2020-02-29T00:00",
    ]  # fmt: skip


def test_volumes_are_apart() -> None:
    other = VOLUME[:-1] + "2"
    backups = [head("2026-01-01T00:00:00Z", 1), head("2026-01-02T00:00:00Z", 2), head("2020-01-01T00:00:00Z", 3, other)]
    assert len(kept(decide(backups, Policy(last=1)))) == 2


def test_no_policy_keeps_all_and_an_unreadable_time_stays() -> None:
    assert kept(decide(times("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), Policy())) != []
    assert all(each.kept for each in decide(times("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), Policy()))
    decisions = decide(times("2026-01-01T00:00:00Z", "yesterday", "2026-01-02T00:00:00Z"), Policy(last=1))
    assert [each.backup.created[:4] for each in decisions if each.kept] == ["yest", "2026"]


@pytest.mark.parametrize(
    ("text", "duration"),
    [("14d", Duration(days=14)), ("1y6m", Duration(1, 6)), ("2w3d12h", Duration(days=17, hours=12))],
)
def test_durations(text: str, duration: Duration) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "14", "d", "1d1y", "-1d", "1.5d", "99999999d", "1s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_long_durations_reach_back_to_the_beginning() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for duration in (Duration(years=5000), Duration(months=99999), Duration(days=999999), Duration(hours=9999999)):
        assert duration.before(moment) <= datetime(1000, 1, 1, tzinfo=UTC)


def test_what_is_no_policy() -> None:
    for wrong in ({"last": -1}, {"timezone": "Mars/Olympus"}, {"timezone": "../etc/passwd"}, {"timezone": ""}):
        with pytest.raises(UsageError):
            Policy(**wrong)
