from __future__ import annotations

from datetime import datetime, timedelta, timezone

from drystone.base.clock import SystemClock, format_rfc3339, format_ruby

MOMENT = datetime(2006, 1, 2, 15, 4, 5, tzinfo=timezone(timedelta(hours=-7)))


def test_convoys_spelling() -> None:
    assert format_ruby(MOMENT) == "Mon Jan 02 15:04:05 -0700 2006"


def test_our_spelling() -> None:
    assert format_rfc3339(MOMENT) == "2006-01-02T15:04:05-07:00"


def test_the_system_clock_knows_its_time_zone() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is not None
    before = clock.monotonic()
    clock.sleep(0.001)
    assert clock.monotonic() - before >= 0.001
