from __future__ import annotations

import pytest

from drystone.testing.fleet_plan import plan

STORAGE, MAPPERS = ["s1", "s2"], ["m1"]


def test_a_seed_is_one_schedule() -> None:
    assert plan(7, STORAGE, MAPPERS, 3) == plan(7, STORAGE, MAPPERS, 3)
    assert plan(7, STORAGE, MAPPERS, 3) != plan(8, STORAGE, MAPPERS, 3)


@pytest.mark.parametrize("seed", range(50))
def test_every_fault_is_over_in_time(seed: int) -> None:
    made = plan(seed, STORAGE, MAPPERS, 3, seconds=15.0)
    assert made.victim in STORAGE
    assert made.steps
    for step in made.steps:
        assert 0 <= step.begin <= step.end <= made.seconds
        assert step.called not in MAPPERS or step.target in STORAGE
        assert step.fault != "cut" or step.target in STORAGE, "mappers call nobody"


def test_all_faults_come_up() -> None:
    found = {step.fault for seed in range(100) for step in plan(seed, STORAGE, MAPPERS, 3).steps}
    assert found >= {"stop", "kill", "hang", "cut", "flip", "truncate", "unmount", "fill"}
    assert found >= {"lose-database", "restore-database"}


def test_nothing_is_damaged_where_disks_go_away() -> None:
    """Else the only good copy of something could be on a disk that is away."""
    for seed in range(100):
        faults = {step.fault for step in plan(seed, STORAGE, MAPPERS, 3).steps}
        assert not (faults & {"flip", "truncate"} and faults & {"unmount", "fill", "lose-database"})
