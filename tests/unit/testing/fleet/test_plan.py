from __future__ import annotations

import pytest

from drystone.testing.fleet.plan import plan


def test_a_seed_is_one_schedule() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


@pytest.mark.parametrize("seed", range(50))
def test_every_fault_is_over_in_time(seed: int) -> None:
    made = plan(seed, seconds=15.0)
    assert made.victim in made.storage
    assert made.steps
    for step in made.steps:
        assert 0 <= step.begin <= step.end <= made.seconds
        assert not step.called or step.called != step.target
        assert step.fault != "cut" or step.target in made.storage, "mappers call nobody"


def test_fleets_differ() -> None:
    made = [plan(seed) for seed in range(100)]
    assert {len(each.storage) for each in made} == {2, 3}
    assert {len(each.mappers) for each in made} == {1, 2}
    assert {each.policy for each in made} == {"shared", "exclusive"}
    assert {each.profile for each in made} == {"damage", "disks"}


def test_all_faults_come_up() -> None:
    found = {step.fault for seed in range(100) for step in plan(seed).steps}
    assert found >= {"stop", "kill", "hang", "cut", "flip", "truncate", "unmount", "fill"}
    assert found >= {"lose-database", "restore-database"}


def test_nothing_is_damaged_where_disks_go_away() -> None:
    """Else the only good copy of something could be on a disk that is away."""
    for seed in range(100):
        faults = {step.fault for step in plan(seed).steps}
        assert not (faults & {"flip", "truncate"} and faults & {"unmount", "fill", "lose-database"})


def test_a_database_that_is_put_back_is_left_to_the_mappers_to_see_only_while_every_server_is_well() -> None:
    found = {True: 0, False: 0}
    for seed in range(400):
        steps = plan(seed).steps
        for step in steps:
            if step.fault == "restore-database":
                found[step.told] += 1
                away = [each for each in steps if each.fault in {"stop", "kill", "hang", "cut"}]
                if not step.told:
                    assert not [each for each in away if each.begin < step.end + 5 and each.end > step.end]
    assert min(found.values()) > 10
