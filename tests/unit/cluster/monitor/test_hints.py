"""Hints have a monitor look at once, and change nothing else: not what is done, nor how long is waited for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.monitor.rounds import Rounds, Way
from drystone.cluster.queue.events import EventHints
from drystone.cluster.queue.hint import Hint
from drystone.cluster.state.database import Database, Work
from drystone.testing.cluster.kernels import Crash

from .test_kills import PERIOD, live
from .world import PATIENCE, SIZE, Link, World

DB = Hint("dlv", "db")


def test_a_dlv_is_made_attached_and_snapshotted_by_hints_alone(world: World) -> None:
    world.client.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE})
    world.monitor.heed([DB])
    assert world.dlv().status == "detached"
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.monitor.heed([DB])
    assert world.dlv().status == "attached"
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.monitor.heed([Hint("snapshot", "db@monday")])
    assert [each.status for each in world.dlv().snapshots] == ["available"]
    job = world.client.must("POST", "/dlvs/db/extend", {"size": SIZE})
    world.monitor.heed([Hint("job", job["id"])])
    assert world.client.must("GET", f"/jobs/{job['id']}")["status"] == "finished"


def test_a_host_that_was_registered_is_looked_at(world: World) -> None:
    addresses = {"address": "d1:9400", "portal": "127.0.0.1:3299"}
    world.client.must("POST", "/dpvs", {"name": "d9", "size": 1 << 30, **addresses})
    world.monitor.heed([Hint("dpv", "d9")])
    assert world.client.must("GET", "/dpvs/d9")["status"] == "available"


def test_lies_cost_one_query(world: World) -> None:
    world.make()
    before = world.steps.count
    lies = [Hint("dlv", "none"), Hint("snapshot", "@"), Hint("job", "x"), Hint("dpv", "d7"), Hint("ihost", "' OR 1")]
    world.monitor.heed(lies)
    assert world.steps.count == before


def test_hints_lose_no_patience(world: World) -> None:
    """Neither with a dpv that is away at attach, nor with hosts that do not answer: rounds are what is counted."""
    world.make()
    world.cut.add("d2:9400")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    for _ in range(5 * PATIENCE):
        world.monitor.heed([DB, Hint("dpv", "d2")])
    assert world.dlv().status == "attaching"
    assert world.client.must("GET", "/dpvs/d2")["status"] == "available"
    for _ in range(PATIENCE + 2):
        world.go(1)
        world.monitor.heed([DB, Hint("dpv", "d2")])
    assert world.dlv().status == "attached"
    assert world.outside() == {"d2"}


def test_who_has_not_the_turn_leaves_hints_alone(world: World) -> None:
    other = world.make_monitor("other")
    other.go()
    world.client.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE})
    other.heed([DB])
    assert world.dlv().status == "creating"


@pytest.mark.parametrize("first", range(1, PERIOD + 1, 2))
def test_a_life_of_hints_in_which_monitors_are_killed(make_world: Callable[..., World], first: int) -> None:
    world = make_world()
    world.hints = (DB, Hint("dpv", "d1"), Hint("ihost", "h1"))
    world.steps.kill_from(first, PERIOD)
    live(world)
    assert world.steps.kills > 3


class Held:
    """Work of a monitor that goes on when the test says."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def do(self) -> None:
        """What waits now."""
        now, self.waiting = self.waiting, []
        for work in now:
            work()


def test_hints_without_end_do_not_keep_rounds_from_a_dlv(world: World) -> None:
    """However many hints there are while a dlv is attended to: once more for them, unless a round asks for it too."""
    world.make()
    held = Held()
    link = Way(lambda address: Link(world, address), held.submit)
    monitor = Rounds(world.database, "monitor1", link, Way(link.agent_at, lambda work: work()), patience=PATIENCE)
    monitor.go()
    held.do()
    world.cut.add("d2:9400")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    rounds = 0
    while world.dlv().status == "attaching":
        for _ in range(5):
            monitor.heed([DB])
        assert len(held.waiting) == 1
        monitor.go()
        monitor.heed([DB])
        held.do()
        rounds += 1
        assert rounds < 3 * PATIENCE
    assert world.outside() == {"d2"}


def test_a_hint_that_comes_while_a_dlv_is_looked_at_is_heeded_after_it(world: World) -> None:
    held = Held()
    link = Way(lambda address: Link(world, address), held.submit)
    monitor = Rounds(world.database, "monitor1", link, Way(link.agent_at, lambda work: work()), patience=PATIENCE)
    monitor.go()
    world.client.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE})
    monitor.heed([DB])
    monitor.heed([DB])
    assert len(held.waiting) == 1
    held.do()
    assert len(held.waiting) == 1
    held.do()
    assert held.waiting == []


def test_the_database_hints_at_what_others_recorded(world: World) -> None:
    found: list[Hint] = []
    stop, came = threading.Event(), threading.Event()

    def heed(hints: object) -> None:
        assert isinstance(hints, list)
        found.extend(hints)
        came.set()

    thread = threading.Thread(target=EventHints(world.database, CALLER, pause=0.01).run, args=(heed, stop))
    thread.start()
    try:
        for turn in range(200):
            world.client.ask("POST", "/dlvs", {"name": f"db{turn}", "dvg": "fast", "size": SIZE})
            if came.wait(0.05):
                break
        world.go(1)
        came.clear()
        world.client.must("DELETE", f"/dlvs/db{turn}")
        assert came.wait(10)
    finally:
        stop.set()
        thread.join(10)
    assert Hint("dlv", f"db{turn}") in found
    assert len([hint for hint in found if hint.kind == "dlv"]) <= turn + 2, "its own records are no news"


def test_events_are_told_of_after_their_commit(world: World) -> None:
    told: list[tuple[str, str]] = []
    database = Database(world.database.url, told=lambda events: told.extend((e["kind"], e["subject"]) for e in events))

    def fail(work: Work) -> None:
        work.tell("made", "dlv", "x")
        raise Crash

    database.open()
    try:
        database.change(lambda work: work.tell("made", "dlv", "db"))
        with pytest.raises(Crash):
            database.change(fail)
        database.rehearse(lambda work: work.tell("made", "dlv", "y"))
    finally:
        database.close()
    assert told == [("dlv", "db")]
