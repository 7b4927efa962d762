from __future__ import annotations

import pytest

from drystone.testing.fleet.plan import plan
from drystone.testing.fleet.schedules import Outcome, list_seeds


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("2:5", [2, 3, 4]), ("7,10:12,1", [7, 10, 11, 1])])
def test_seeds_are_listed(text: str, seeds: list[int]) -> None:
    assert list_seeds(text) == seeds


def test_what_failed_says_how_to_run_it_again() -> None:
    outcome = Outcome(plan(7, 9.0), faults=["something was lost"])
    assert "again: --seeds 7 --seconds 9" in str(outcome)
    assert "something was lost" in str(outcome)
    assert "again" not in str(Outcome(plan(7, 9.0)))
