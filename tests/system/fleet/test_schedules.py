"""A few short schedules of faults on real processes; `python -m drystone.testing.fleet.schedules` runs any number."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from drystone.testing.fleet.schedules import Outcome, run_schedule

SEEDS = (0, 1, 7, 8, 23, 39)
SECONDS = 9.0


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Future[Outcome]]]:
    """Three at a time: most of each is waiting for faults to be noticed and to end."""
    folder = tmp_path_factory.mktemp("schedules")
    with ThreadPoolExecutor(3) as pool:
        yield {seed: pool.submit(run_schedule, seed, folder / f"fleet-{seed}", SECONDS) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_wrong_is_served(seed: int, outcomes: dict[int, Future[Outcome]]) -> None:
    outcome = outcomes[seed].result()
    assert not outcome.faults, str(outcome)
    done = sum(count for name, count in outcome.counts.items() if name.endswith(("200", "204")))
    assert done > 20, f"hardly anything was done: {outcome}"
