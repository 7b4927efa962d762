"""Scrubs of a few percent meet every pack, at any steady pace."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from drystone.backup.collecting.rotation import choose_packs
from drystone.base.errors import UsageError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PACKS = [random.Random(number).randbytes(16) for number in range(2000)]


@pytest.mark.parametrize("days", [1, 2, 7, 14, 30])
@pytest.mark.parametrize("percent", [5, 20])
def test_every_pack_is_met(days: int, percent: int) -> None:
    met: set[bytes] = set()
    runs = 0
    while len(met) < len(PACKS):
        chosen = choose_packs(PACKS, percent, NOW + timedelta(days=runs * days))
        assert 0.5 * percent < 100 * len(chosen) / len(PACKS) < 1.5 * percent
        met.update(chosen)
        runs += 1
        assert runs <= 500 / percent


def test_all_is_all_and_a_day_is_a_day() -> None:
    assert choose_packs(PACKS, 100, NOW) == sorted(PACKS)
    assert choose_packs(PACKS, 5, NOW) == choose_packs(PACKS[::-1], 5, NOW + timedelta(hours=2))
    assert choose_packs(PACKS, 5, NOW) != choose_packs(PACKS, 5, NOW + timedelta(days=1))


@pytest.mark.parametrize("percent", [0, -1, 100.1, float("nan")])
def test_wrong_percentages(percent: float) -> None:
    with pytest.raises(UsageError):
        choose_packs(PACKS, percent, NOW)
