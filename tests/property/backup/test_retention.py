"""Retention over random histories: it never deletes all, keeps more when told more, and settles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from drystone.backup.collecting.retention import Duration, Policy, decide
from drystone.backup.format.manifest import Head

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
RULES = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
PERIODS: dict[str, Callable[[datetime], object]] = {
    "hourly": lambda moment: (moment.date(), moment.hour),
    "daily": lambda moment: moment.date(),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: moment.year,
}


def head(number: int, minutes: int) -> Head:
    return Head(
        backup=f"{number:08d}-0000-4000-8000-000000000000", volume=f"{number % 2:08d}-0000-4000-8000-000000000000",
        parent="", created=(BEGIN + timedelta(minutes=minutes)).isoformat(), source="s", size=0, chunk_size=65536,
        segment_slots=4, root="", chunks=0, read=0, stored=0, about={},
    )  # fmt: skip


histories = st.lists(st.integers(0, 4 * 366 * 24 * 60), min_size=1, max_size=40).map(
    lambda minutes: [head(number, each) for number, each in enumerate(minutes)]
)
counts = st.fixed_dictionaries({name: st.integers(0, 5) for name in RULES})
durations = st.none() | st.builds(Duration, st.integers(0, 2), st.integers(0, 6), st.integers(0, 40))


def kept(backups: list[Head], policy: Policy) -> set[str]:
    return {each.backup.backup for each in decide(backups, policy) if each.kept}


def policy_of(rules: dict[str, int], within: Duration | None = None) -> Policy:
    return replace(Policy(within=within), **rules)  # type: ignore[arg-type]


@given(histories, counts, durations)
def test_the_newest_of_each_volume_stays(backups: list[Head], rules: dict[str, int], within: Duration | None) -> None:
    stays = kept(backups, policy_of(rules, within))
    for volume in {each.volume for each in backups}:
        newest = max((each for each in backups if each.volume == volume), key=lambda each: (each.created, each.backup))
        assert newest.backup in stays


@given(histories, counts, durations, st.sampled_from(RULES), st.integers(1, 3))
def test_a_larger_number_keeps_no_less(
    backups: list[Head], rules: dict[str, int], within: Duration | None, rule: str, more: int
) -> None:
    fewer = policy_of(rules, within)
    if not fewer.empty:
        assert kept(backups, fewer) <= kept(backups, policy_of({**rules, rule: rules[rule] + more}, within))


@given(histories, counts, durations)
def test_a_second_run_takes_nothing_more(backups: list[Head], rules: dict[str, int], within: Duration | None) -> None:
    policy = policy_of(rules, within)
    stays = kept(backups, policy)
    assert kept([each for each in backups if each.backup in stays], policy) == stays


@given(histories, st.sampled_from(sorted(PERIODS)), st.integers(1, 5))
def test_each_of_the_newest_periods_keeps_its_newest(backups: list[Head], rule: str, count: int) -> None:
    stays = kept(backups, policy_of({rule: count}))
    for volume in {each.volume for each in backups}:
        newest: dict[object, tuple[str, str]] = {}
        for each in backups:
            if each.volume == volume:
                period = PERIODS[rule](datetime.fromisoformat(each.created))
                newest[period] = max(newest.get(period, ("", "")), (each.created, each.backup))
        wanted = {backup for _, backup in sorted(newest.values(), reverse=True)[:count]}
        mine = stays & {each.backup for each in backups if each.volume == volume}
        assert wanted <= mine
        assert len(mine - wanted) <= 1, "the oldest may stay besides"
