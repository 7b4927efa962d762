"""What a monitor counts, and tells Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import BusyError, UnavailableError
from drystone.cluster.monitor.metrics import measure
from drystone.cluster.monitor.rounds import Rounds, Way
from drystone.cluster.monitor.tally import CountedAgent, Tally
from drystone.cluster.state.database import Database

from .world import PATIENCE, Link, World


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def text_of(tally: Tally, database: Database) -> set[str]:
    return {line for line in measure(tally, database).decode().splitlines() if not line.startswith("#")}


def test_rounds_looks_and_calls_are_told(world: World) -> None:
    clock = Clock()
    tally = Tally(clock=clock, forgets=60)
    way = Way(lambda address: CountedAgent(Link(world, address), address, tally), lambda work: work())
    world.make()
    world.client.must("POST", "/dlvs/db/extend", {"size": 8 << 20})
    world.cut.add("d2:9400")
    monitor = Rounds(world.database, world.monitor._name, way, way, patience=PATIENCE)
    for _ in range(2):
        tally.count_round("done" if monitor.go() else "idle")
        clock.now += 10
    told = text_of(tally, world.database)
    assert 'drystone_monitor_rounds_total{result="done"} 2.0' in told
    assert "drystone_monitor_round_age_seconds 10.0" in told
    assert 'drystone_monitor_look_age_seconds{address="d1:9400"} 10.0' in told
    assert 'drystone_monitor_look_age_seconds{address="d2:9400"} 20.0' in told
    assert 'drystone_monitor_calls_total{call="survey",result="unavailable"} 2.0' in told
    assert 'drystone_monitor_calls_total{call="survey",result="done"} 4.0' in told
    assert any(line.startswith('drystone_monitor_calls_total{call="put",result="done"}') for line in told)
    assert 'drystone_monitor_open_jobs{kind="extend",status="processing"} 1.0' in told
    assert "drystone_monitor_database_answers 1.0" in told
    clock.now += 100
    assert not any("look_age" in line for line in text_of(tally, world.database)), "they are not asked any more"


def test_a_defect_is_a_result_and_goes_on() -> None:
    tally = Tally()
    with pytest.raises(ZeroDivisionError), tally.counting("put", "d1:9400"):
        raise ZeroDivisionError
    with pytest.raises(BusyError), tally.counting("put", "d1:9400"):
        raise BusyError("it is under way")
    assert tally.calls() == {("put", "defect"): 1, ("put", "busy"): 1}
    assert tally.look_ages() == {}


def test_a_database_that_is_away_is_told_and_the_rest_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_action: object) -> None:
        raise UnavailableError("the database is away")

    database = Database(f"sqlite:///{tmp_path}/cluster.db")
    monkeypatch.setattr(database, "read", away)
    tally = Tally()
    tally.count_round("failed")
    told = text_of(tally, database)
    assert {'drystone_monitor_rounds_total{result="failed"} 1.0', "drystone_monitor_database_answers 0.0"} <= told
    assert not any("open_jobs" in line for line in told)
