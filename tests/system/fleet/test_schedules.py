"""A few short schedules of faults on real processes; `python -m drystone.testing.fleet.schedules` runs any number."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.testing.fleet.schedules import run_schedule

SECONDS = 9.0


@pytest.mark.parametrize("seed", [0, 23])
def test_nothing_is_lost_and_nothing_wrong_is_served(seed: int, tmp_path: Path) -> None:
    outcome = run_schedule(seed, tmp_path / "fleet", SECONDS)
    assert not outcome.faults, str(outcome)
    done = sum(count for name, count in outcome.counts.items() if name.endswith(("200", "204")))
    assert done > 20, f"hardly anything was done: {outcome}"
