"""Which backups a policy keeps, and why: a pure function of the backups' times.

For each volume by itself, newest first: `last` keeps the newest N; `hourly`, `daily`, `weekly`, `monthly` and `yearly`
keep the newest backup of each of the newest N periods that have one; `within` keeps all that is younger than a time
before the volume's newest backup (before that and not before now, so that a machine which was off for a year loses
nothing). The oldest backup counts as one of a further period while a rule has some left, as restic's rules have it:
so a history that is younger than a period keeps its beginning. What two rules keep counts for both.

Periods are those of a calendar in a time zone, UTC unless another is named; weeks are ISO weeks. Every policy keeps the
newest backup of each volume. Cost: a sort.
"""

from __future__ import annotations

import calendar
import re
import zoneinfo
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Generic, Protocol, TypeVar

from drystone.base.errors import UsageError

_DURATION = re.compile(r"(?:(\d{1,4})y)?(?:(\d{1,5})m)?(?:(\d{1,5})w)?(?:(\d{1,6})d)?(?:(\d{1,7})h)?")
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Duration:
    """A stretch of the calendar: years and months have the lengths that they have there."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def before(self, moment: datetime) -> datetime:
        """The moment that is this long before another; a day that a month has not is its last one."""
        month = moment.year * 12 + moment.month - 1 - self.years * 12 - self.months
        if month < 12:
            return _OLDEST
        year, month = month // 12, month % 12 + 1
        day = min(moment.day, calendar.monthrange(year, month)[1])
        try:
            return moment.replace(year=year, month=month, day=day) - timedelta(days=self.days, hours=self.hours)
        except OverflowError:
            return _OLDEST


def parse_duration(text: str) -> Duration:
    """`2y6m1w3d12h`: years, months, weeks, days and hours in this order, each of them or not.

    :raises UsageError: anything else, and "".
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise UsageError(f"duration {text!r} is not like 1y6m2w3d12h", hint="14d, 6m, 1y6m: m is a month, h an hour")
    years, months, weeks, days, hours = (int(each or 0) for each in match.groups())
    return Duration(years, months, weeks * 7 + days, hours)


@dataclass(frozen=True, slots=True)
class Policy:
    """How many to keep of which kind of period; 0 of all, and no `within`, is no policy: everything is kept.

    :ivar timezone: an IANA name, such as Europe/Berlin.

    :raises UsageError: a count below 0, or no such time zone.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: Duration | None = None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        for name in _PERIODS:
            if getattr(self, name) < 0:
                raise UsageError(f"keep-{name} {getattr(self, name)} is below 0")
        self.zone()

    def zone(self) -> tzinfo:
        """Whose calendar counts."""
        if self.timezone == "UTC":
            return UTC
        try:
            return zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(
                f"there is no time zone {self.timezone[:60]!r}", hint="a name such as UTC or Europe/Berlin"
            ) from error

    @property
    def empty(self) -> bool:
        """Whether it says nothing, so that nothing goes."""
        return self.within is None and not any(getattr(self, name) for name in _PERIODS)


class Dated(Protocol):
    """What a policy looks at: a backup's Head is one. `created` is ISO 8601."""

    @property
    def backup(self) -> str:
        """Its name."""

    @property
    def volume(self) -> str:
        """What it is of: each by itself."""

    @property
    def created(self) -> str:
        """When it was made."""


Each = TypeVar("Each", bound=Dated)


@dataclass(frozen=True, slots=True)
class Decision(Generic[Each]):
    """A backup, and why it stays; no reasons: it goes."""

    backup: Each
    reasons: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons)


def _each(number: int, _moment: datetime) -> Hashable:
    return number


def _hour(_number: int, moment: datetime) -> Hashable:
    # With the offset: the hour that comes twice when the clocks go back is two hours.
    return moment.date(), moment.hour, moment.utcoffset()


def _day(_number: int, moment: datetime) -> Hashable:
    return moment.date()


def _week(_number: int, moment: datetime) -> Hashable:
    return moment.isocalendar()[:2]


def _month(_number: int, moment: datetime) -> Hashable:
    return moment.year, moment.month


def _year(_number: int, moment: datetime) -> Hashable:
    return moment.year


_PERIODS: dict[str, Callable[[int, datetime], Hashable]] = {
    "last": _each,
    "hourly": _hour,
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "yearly": _year,
}
"""By name: from (place in the list, local time) to the period that a backup is of."""


def decide(backups: Iterable[Each], policy: Policy) -> list[Decision[Each]]:
    """A decision for each backup: by volume, and newest first within one.

    A backup whose time cannot be read stays.
    """
    volumes: dict[str, list[tuple[datetime, Each]]] = defaultdict(list)
    decisions: list[Decision[Each]] = []
    for head in backups:
        moment = _moment(head, policy.zone())
        if moment is None:
            decisions.append(Decision(head, ("its time cannot be read",)))
        else:
            volumes[head.volume].append((moment, head))
    for each in volumes.values():
        each.sort(key=lambda pair: (pair[0].astimezone(UTC), pair[1].backup), reverse=True)
        decisions += _decide_volume(each, policy)
    return sorted(decisions, key=lambda decision: decision.backup.volume)


def _moment(head: Dated, zone: tzinfo) -> datetime | None:
    try:
        moment = datetime.fromisoformat(head.created)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(zone)
    except (ValueError, OverflowError):
        return None


def _decide_volume(backups: list[tuple[datetime, Each]], policy: Policy) -> list[Decision[Each]]:
    """`backups` of one volume, newest first."""
    reasons: list[list[str]] = [["there is no policy"] if policy.empty else [] for _ in backups]
    for name, period_of in _PERIODS.items():
        wanted, found = getattr(policy, name), 0
        last: Hashable = None
        for number, (moment, _) in enumerate(backups):
            period = period_of(number, moment)
            begins = period != last
            if found < wanted and (begins or number == len(backups) - 1):
                found += 1
                reasons[number].append(f"{name} {found} of {wanted}" + ("" if begins else ", the oldest"))
            last = period
    if policy.within is not None:
        since = policy.within.before(backups[0][0])
        for number, (moment, _) in enumerate(backups):
            if moment >= since:
                reasons[number].append("within the time")
    return [Decision(head, tuple(why)) for (_, head), why in zip(backups, reasons, strict=True)]
