"""Anything, in any order, with monitors that are killed in between: when the storm is over all is as it is wished.

The simulated legs keep no bytes: with each put together the pool begins anew. So snapshots have storms of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from .world import PATIENCE, World

EVENTS = 14


class Storm:
    """Events by chance. :ivar away: the dpvs that are lost."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.away: set[str] = set()
        self.number = 0

    def attach(self) -> None:
        self.world.client.ask("PUT", "/dlvs/db/attachment", {"ihost": "h1"})

    def detach(self) -> None:
        self.world.client.ask("DELETE", "/dlvs/db/attachment")

    def force(self) -> None:
        self.world.client.ask("DELETE", "/dlvs/db/attachment?force=1")

    def snapshot(self) -> None:
        self.number += 1
        self.world.client.ask("POST", "/dlvs/db/snapshots", {"name": f"snap{self.number}"})

    def drop_snapshot(self) -> None:
        self.world.client.ask("DELETE", f"/dlvs/db/snapshots/snap{self.chance.randint(1, 3)}")

    def lose(self) -> None:
        """One dpv at a time, while all legs are in their sets."""
        if not self.away and not self.world.outside():
            self.away.add(self.chance.choice([*self.world.dpvs]))
            self.world.lose(*self.away)

    def bring_back(self) -> None:
        while self.away:
            self.world.bring_back(self.away.pop())

    def cut(self) -> None:
        """An agent cannot be reached; its host goes on."""
        self.world.cut.add(self.chance.choice(["h1:9401", *(f"{name}:9400" for name in self.world.dpvs)]))

    def heal(self) -> None:
        self.world.cut = {f"{name}:9400" for name in self.away}

    def boot(self) -> None:
        """The ihost is started anew."""
        if not self.away:
            self.world.ihost.boot()
            self.world.ihost.agent.recover()

    def forget(self) -> None:
        """The ihost is installed anew: started anew, without its notes."""
        if not self.away:
            self.world.ihost.boot()
            self.world.ihost.lose_notes()

    def new_disk(self) -> None:
        """A dpv gets another disk, one at a time, while all legs are in their sets, and there."""
        there = {leg for legs in self.world.slices().values() for leg in legs}
        if not self.away and not self.world.outside() and there.issuperset(leg.id for leg in self.world.dlv().legs):
            name = self.chance.choice([*self.world.dpvs])
            self.world.lose(name)
            self.world.dpvs[name].replace_disk()
            self.world.dpvs[name].agent.recover()
            self.world.bring_back(name)

    def restart(self) -> None:
        self.world.start()

    def go(self) -> None:
        self.world.go(self.chance.randint(1, PATIENCE + 1))
        self.world.watch()

    def blow(self, *events: Callable[[], None]) -> None:
        """Some of it, then the calm."""
        for _ in range(EVENTS):
            self.world.steps.kill_from(self.chance.randint(5, 30), 30)
            self.chance.choice(events)()
            self.go()
        self.bring_back()
        self.heal()
        self.world.steps.kill_from(0, 0)
        for _ in range(3):
            self.world.go(3 * PATIENCE)
            self.world.watch()


def check_end(world: World) -> None:
    """All is as it is wished; then it is deleted, and nothing is left."""
    dlv = world.dlv()
    assert dlv.status == ("attached" if dlv.wanted else "detached"), dlv.reason
    assert bool(world.ihost.nodes) == bool(dlv.wanted)
    assert [leg.id for leg in dlv.legs if not leg.in_sync] == [] or not dlv.wanted
    assert world.slices() == {name: {leg.id for leg in dlv.legs if leg.dpv == name} for name in world.dpvs}
    assert world.ihost.agent.survey().unknown == ()
    world.client.ask("DELETE", "/dlvs/db/attachment")
    world.go(3 * PATIENCE)
    assert (world.dlv().status, world.ihost.tables()) == ("detached", {}), world.dlv().reason
    world.client.must("DELETE", "/dlvs/db")
    world.go(3 * PATIENCE)
    assert {name for legs in world.slices().values() for name in legs} == set()


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_hosts_and_wishes(make_world: Callable[..., World], seed: int) -> None:
    world = make_world(dpvs=3)
    world.make()
    storm = Storm(world, seed)
    storm.blow(
        storm.attach, storm.attach, storm.detach, storm.force, storm.lose, storm.bring_back, storm.cut, storm.heal,
        storm.boot, storm.restart,
    )  # fmt: skip
    check_end(world)


@pytest.mark.parametrize("seed", range(2))
def test_a_storm_of_what_is_replaced_by_hand(make_world: Callable[..., World], seed: int) -> None:
    world = make_world(dpvs=3)
    world.make()
    storm = Storm(world, seed)
    storm.blow(
        storm.attach, storm.attach, storm.detach, storm.force, storm.new_disk, storm.new_disk, storm.forget, storm.cut,
        storm.heal, storm.boot, storm.restart,
    )  # fmt: skip
    check_end(world)


@pytest.mark.parametrize("seed", range(2))
def test_a_storm_of_snapshots(make_world: Callable[..., World], seed: int) -> None:
    world = make_world(dpvs=2)
    world.make()
    world.attach()
    storm = Storm(world, seed)
    storm.blow(storm.snapshot, storm.snapshot, storm.drop_snapshot, storm.cut, storm.heal, storm.restart)
    there = {each.name for each in world.dlv().snapshots}
    assert {each.status for each in world.dlv().snapshots} <= {"available"}
    told = [subject for what, kind, subject in world.client.events() if (what, kind) == ("deleted", "snapshot")]
    assert there == {f"snap{number + 1}" for number in range(storm.number)} - {each.partition("@")[2] for each in told}
    pool = world.ihost.agent.look(world.dlv().id).pool
    assert pool is not None
    assert pool.transaction_id == world.dlv().transaction_id
    check_end(world)
