"""A schedule as a value: when it is due, and what it keeps. Nothing here looks at a clock.

Two kinds. `every` counts seconds from the last run. `cron` is a line of five fields in the daemon's local time, read by
cronsim, which follows Debian's cron. Whatever the clock does, a run is early or late or made twice at worst: a last run
that lies in the future counts as one of now, and runs that were missed are made up for by one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from drystone.backup.collecting.retention import Policy
from drystone.base.errors import UsageError

_EVERY = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_S = 10 * 366 * 86400
"""Of an interval. Without a limit the next run may lie behind the last year that there is."""

_KEEP = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_LEAST_WAIT_S, _MOST_WAIT_S = 60, 3600


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: `every` in seconds, or a line of `cron`.

    :ivar snapshots, backups: what is kept, as `parse_keep` reads it; "" of backups: all of them.
    :ivar url: where snapshots are backed up, "" for nowhere. :ivar endpoint: of S3, where it is not Amazon's.
    :ivar created: ISO 8601 with offset.
    """

    every: int = 0
    cron: str = ""
    snapshots: str
    url: str = ""
    endpoint: str = ""
    backups: str = ""
    created: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.

    :ivar last: when the snapshot of the last run that succeeded was taken, "" for none. ISO 8601 with offset.
    :ivar failures: runs in a row that failed. :ivar problem: why the last one did, "" when it did not.
    :ivar done: UUID of that snapshot.
    :ivar backed_up: UUID of the snapshot that was backed up last: the next backup reads what differs from it.
    """

    paused: bool = False
    last: str = ""
    done: str = ""
    failures: int = 0
    problem: str = ""
    backed_up: str = ""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule of the catalogue; `volume` is a UUID."""

    uuid: str
    name: str
    volume: str
    wish: Wish
    state: State = State()


def parse_every(text: str) -> int:
    """Seconds of `30m`, `1h`, `2d`, `1w`. :raises UsageError: anything else."""
    match = _EVERY.fullmatch(text)
    if match is None:
        raise UsageError(f"{text[:60]!r} is no interval", hint="30m, 1h, 2d or 1w: m is a minute")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_S:
        raise UsageError(f"{text} is no interval of a schedule: ten years are the most")
    return seconds


def spell_every(seconds: int) -> str:
    """As `parse_every` reads it."""
    unit = next(unit for unit in "wdhm" if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def parse_keep(text: str) -> Policy:
    """`24` keeps the last 24; `last=24,daily=7,weekly=4` what any of the rules keeps.

    Periods are those of UTC. :raises UsageError: anything else, or nothing would be kept.
    """
    counts: dict[str, int] = {}
    for word in text.split(","):
        key, _, value = word.rpartition("=")
        key = key.strip() or "last"
        if key not in _KEEP or key in counts or not re.fullmatch(r"[0-9]{1,6}", value.strip()):
            raise UsageError(
                f"{text[:60]!r} does not say what to keep", hint="24, or last=24,hourly=24,daily=7,weekly=4"
            )
        counts[key] = int(value)
    if not any(counts.values()):
        raise UsageError(f"{text[:60]!r} keeps nothing", hint="1 keeps the last one")
    return replace(Policy(), **counts)  # type: ignore[arg-type]  # the keys are its counts


def check_cron(line: str, now: datetime) -> None:
    """:raises UsageError: it is no line of cron, or none that ever comes."""
    if len(line.split()) != 5:
        raise UsageError(
            f"cron line {line[:60]!r} has not five fields", hint="minute hour day month weekday: 0 3 * * *"
        )
    _next_of(line, now)


def next_run(schedule: Schedule, now: datetime) -> datetime:
    """When it is due: a moment that has passed when a run was missed.

    :param now: with the time zone in which lines of cron are meant.
    """
    last = datetime.fromisoformat(schedule.state.last or schedule.wish.created).astimezone(now.tzinfo)
    last = min(last, now)
    if schedule.wish.cron:
        return _next_of(schedule.wish.cron, last)
    return last + timedelta(seconds=schedule.wish.every)


def wait_after(failures: int) -> int:
    """Seconds until a run is tried again that has failed so many times in a row: a minute, doubled up to an hour."""
    return min(_LEAST_WAIT_S << min(failures - 1, 10), _MOST_WAIT_S)


def _next_of(line: str, moment: datetime) -> datetime:
    """:raises UsageError: it is no line of cron, or none that ever comes."""
    # Imported when it is needed: a daemon without schedules does without.
    from cronsim import CronSim, CronSimError

    try:
        found: datetime = next(CronSim(line, moment))
    except (CronSimError, ValueError) as error:  # the latter of a number with thousands of digits
        raise UsageError(
            f"cron line {line[:60]!r}: {error}", hint="minute hour day month weekday: 0 3 * * *"
        ) from error
    except StopIteration:
        raise UsageError(f"cron line {line[:60]!r} never comes") from None
    return found
