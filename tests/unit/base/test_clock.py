from __future__ import annotations

from datetime import datetime, timedelta, timezone

from drystone.base.clock import SystemClock, format_instant, format_rfc3339, format_ruby

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


def test_an_instants_order_as_text_is_that_in_time() -> None:
    early = datetime(2026, 1, 2, 23, 4, 5, 999_999, timezone(timedelta(hours=9)))
    late = datetime(2026, 1, 2, 14, 4, 6, tzinfo=timezone(timedelta(0)))
    assert format_instant(early) == "2026-01-02T14:04:05.999999+00:00"
    assert format_instant(early) < format_instant(late)
