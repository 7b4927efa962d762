"""Heartbeats: which of them is news."""

import msgspec

from drystone.fleet.documents import Heartbeat
from drystone.fleet.mapping.sightings import Sightings


def beat(uptime: float, *, boot: str = "b", version: int = 0) -> Heartbeat:
    return Heartbeat("s", "http://s", boot, version, (), uptime=uptime)


def test_an_overtaken_heartbeat_is_not_believed() -> None:
    sightings = Sightings(0.0)
    assert sightings.note(beat(10.0, version=7), 100.0)
    assert not sightings.note(beat(9.0, version=6), 100.1)
    assert sightings.servers["s"].map_version == 7


def test_a_heartbeat_that_was_long_under_way_is_no_sign_of_life() -> None:
    sightings = Sightings(0.0)
    sightings.note(beat(10.0), 100.0)
    sightings.note(beat(11.0), 108.0)
    assert sightings.silence("s", 108.0) == 7.0


def test_clocks_that_drift_apart_do_not_look_like_delays() -> None:
    sightings = Sightings(0.0)
    for number in range(1000):
        sightings.note(beat(float(number)), 100.0 + number * 1.001)
    assert sightings.silence("s", 100.0 + 999 * 1.001) < 0.1


def test_a_restart_begins_anew() -> None:
    sightings = Sightings(0.0)
    told = msgspec.structs.replace(beat(500.0), held=(), told=())
    sightings.note(told, 100.0)
    assert [each.held for each in sightings.servers.values()] == [()]
    assert sightings.note(beat(1.0, boot="c"), 103.0)
    assert [each.held for each in sightings.servers.values()] == [None]
    assert not sightings.note(beat(501.0), 104.0), "of the process before"


def test_a_late_heartbeat_of_the_process_before_does_not_shut_out_the_new_one() -> None:
    sightings = Sightings(0.0)
    assert sightings.note(beat(500.0), 100.0)
    assert not sightings.note(beat(5.0, boot="new"), 101.0)
    assert sightings.note(beat(7.0, boot="new"), 103.0)


def test_a_server_counts_as_heard_of_when_the_mapper_began() -> None:
    sightings = Sightings(50.0)
    assert sightings.silence("s", 53.0) == 3.0
    assert not sightings.heard("s")
