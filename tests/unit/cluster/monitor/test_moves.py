"""Legs that go to other dpvs while their dlv is attached: evacuation and balance, with a copy more, never one less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drystone.cluster.model.dlv import Dlv

from .world import PATIENCE, SIZE, World

PERIOD = 12
"""Steps between two kills."""


def evacuation(world: World, name: str) -> Any:
    return world.client.must("GET", f"/dpvs/{name}/evacuation")


def count_copies(dlv: Dlv) -> int:
    """The least number of legs that a mirror of it has in its set."""
    keys = {leg.mirror for leg in dlv.legs}
    return min(sum(leg.in_sync for leg in dlv.legs_of(key)) for key in keys)


def least_used(world: World) -> str:
    """The dpv with the fewest legs, but one."""
    legs = [leg.dpv for leg in world.dlv().legs]
    return min(legs, key=lambda name: (legs.count(name), name))


def settle(world: World, name: str, copies: int = 2) -> None:
    """Rounds of monitor and watcher until the dpv is empty; there are always so many copies."""
    for _ in range(12):
        world.go()
        assert count_copies(world.dlv()) >= copies
        world.watch()
        assert count_copies(world.dlv()) >= copies
        if evacuation(world, name)["status"] == "evacuated":
            return
    raise AssertionError(evacuation(world, name))


def test_an_attached_dlv_leaves_a_dpv_by_copies_and_is_never_a_copy_short(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    dlv = world.attach()
    name = dlv.legs[0].dpv
    count = sum(leg.dpv == name for leg in dlv.legs)
    number = world.ihost.dm.info("drystone-dlv-db").number
    planned = world.client.must("POST", f"/dpvs/{name}/evacuate?dry_run=true")
    assert {each["leg"] for each in planned["moves"]} == {leg.id for leg in dlv.legs if leg.dpv == name}
    assert not world.client.must("GET", f"/dpvs/{name}")["evacuating"], "a rehearsal changes nothing"
    begun = world.client.must("POST", f"/dpvs/{name}/evacuate")
    assert (begun["status"], begun["legs"], begun["moving"]) == ("evacuating", count, 0)
    world.go()
    added = [leg for leg in world.dlv().legs if leg.instead_of]
    assert [leg.copying for leg in added] == [True] * count
    tables = world.ihost.tables()
    key = added[0].mirror
    assert f"drystone-dlv-db:{key}.whole" in tables, "both copies are written while the third is made"
    settle(world, name)
    assert world.ihost.dm.info("drystone-dlv-db").number == number, "it was attached all the time"
    after = world.dlv()
    assert (len(after.legs), {leg.dpv for leg in after.legs}) == (len(dlv.legs), {*world.dpvs} - {name})
    assert {(leg.in_sync, leg.instead_of) for leg in after.legs} == {(True, "")}
    assert world.slices()[name] == set()
    assert not [each for each in world.ihost.tables() if each.endswith(".whole")]
    jobs = world.client.must("GET", "/jobs?kind=move")["items"]
    assert [(job["status"], job["reason"]) for job in jobs] == [("finished", "")] * count
    left = world.client.must("POST", "/dvgs/fast/reduce", {"dpvs": [name]})
    assert name not in left["dpvs"]
    assert not world.client.must("GET", f"/dpvs/{name}")["evacuating"]


@pytest.mark.parametrize("mirrors", [1, 3])
def test_one_copy_and_three_copies_leave_a_dpv_too(make_world: Callable[..., World], mirrors: int) -> None:
    world = make_world(dpvs=mirrors + 1)
    world.make(mirrors=mirrors)
    dlv = world.attach()
    name = dlv.legs[0].dpv
    world.client.must("POST", f"/dpvs/{name}/evacuate")
    settle(world, name, mirrors)
    assert name not in {leg.dpv for leg in world.dlv().legs}
    assert len(world.dlv().legs) == len(dlv.legs)
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert (world.dlv().status, world.ihost.tables(), world.admitted()) == ("detached", {}, set())


@pytest.mark.parametrize("first", range(2, PERIOD + 1, 2))
def test_an_evacuation_in_which_monitors_are_killed_again_and_again(
    make_world: Callable[..., World], first: int
) -> None:
    """After each call and transaction there is a kill in one of these: before the next one is the same moment."""
    world = make_world(dpvs=3)
    world.make()
    world.attach()
    name = least_used(world)
    world.client.must("POST", f"/dpvs/{name}/evacuate")
    world.steps.kill_from(first, PERIOD)
    settle(world, name)
    assert world.steps.kills > 1
    assert (len(world.dlv().legs), world.slices()[name]) == (4, set())
    assert {leg.in_sync for leg in world.dlv().legs} == {True}
    assert {job["status"] for job in world.client.must("GET", "/jobs?kind=move")["items"]} == {"finished"}


def test_without_room_an_evacuation_says_what_is_lacking_and_changes_nothing(world: World) -> None:
    world.make()
    before = world.attach()
    status, problem = world.client.ask("POST", "/dpvs/d1/evacuate")
    assert (status, problem["code"], problem["facts"]["legs"]) == (409, "exhausted", 2)
    assert "no room for 2 of the 2 legs on dpv d1" in problem["detail"]
    assert world.client.ask("POST", "/dpvs/d1/evacuate?dry_run=true")[0] == 409
    assert evacuation(world, "d1")["status"] == "none"
    assert world.dlv() == before


def test_legs_of_a_dlv_that_is_attached_nowhere_wait_and_say_so(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    world.attach()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    name = world.dlv().legs[0].dpv
    world.client.must("POST", f"/dpvs/{name}/evacuate")
    world.go()
    (why,) = evacuation(world, name)["waiting"]
    assert why == "dlv db is detached: legs are copied while it is attached"
    world.attach()
    settle(world, name)


def test_what_was_never_written_to_moves_without_a_copy(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    name = world.make().legs[0].dpv
    world.client.must("POST", f"/dpvs/{name}/evacuate")
    world.go()
    assert evacuation(world, name)["status"] == "evacuated"
    assert world.slices()[name] == set()
    world.attach()
    assert "nosync" in world.ihost.tables()["drystone-dlv-db:g1.s0"]
    assert {leg.in_sync for leg in world.dlv().legs} == {True}


def test_nothing_new_is_put_on_a_dpv_that_is_evacuated_until_that_is_canceled(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=2)
    world.client.must("POST", "/dpvs/d1/evacuate")
    status, problem = world.client.ask("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE})
    assert (status, problem["code"]) == (409, "exhausted")
    assert world.client.must("POST", "/dpvs/d1/evacuation/cancel")["status"] == "none"
    world.make()


def test_a_dpv_that_dies_while_it_is_evacuated_is_left_all_the_same(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    name = world.attach().legs[0].dpv
    world.client.must("POST", f"/dpvs/{name}/evacuate")
    world.go()
    world.lose(name)
    world.go(4 * PATIENCE)
    world.watch()
    world.go()
    dlv = world.dlv()
    assert (len(dlv.legs), {leg.in_sync for leg in dlv.legs}) == (4, {True})
    assert name not in {leg.dpv for leg in dlv.legs}
    assert evacuation(world, name)["reason"] == "its agent is to confirm that it has given up the last leg"
    world.bring_back(name)
    world.go()
    assert evacuation(world, name)["status"] == "evacuated"


def test_a_successor_that_dies_is_replaced_and_the_old_leg_stays_meanwhile(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=4)
    world.make()
    name = world.attach().legs[0].dpv
    world.client.must("POST", f"/dpvs/{name}/evacuate")
    world.go()
    old = {leg.instead_of for leg in world.dlv().legs}
    target = next(leg.dpv for leg in world.dlv().legs if leg.instead_of)
    world.lose(target)
    world.go(4 * PATIENCE)
    assert {leg.id for leg in world.dlv().legs if leg.in_sync} >= old - {""}
    for _ in range(3):
        world.watch()
        world.go()
    assert evacuation(world, name)["status"] == "evacuated"
    assert count_copies(world.dlv()) == 2
    assert {leg.dpv for leg in world.dlv().legs}.isdisjoint({name, target})


def test_a_dvg_is_balanced_by_a_few_moves_and_no_more_than_help(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=2)
    world.make(size=4 * SIZE)
    world.attach()
    world.client.make_dpvs("d9")
    world.client.must("POST", "/dpvs/d9/unavailable", {})
    assert world.client.must("GET", "/dvgs/fast/balance")["status"] == "balanced"
    with_room = make_world(dpvs=4)
    for name in ("d3", "d4"):
        with_room.client.must("POST", f"/dpvs/{name}/unavailable", {"reason": "later"})
    with_room.make(size=4 * SIZE)
    with_room.attach()
    assert {leg.dpv for leg in with_room.dlv().legs} == {"d1", "d2"}
    for name in ("d3", "d4"):
        with_room.client.must("POST", f"/dpvs/{name}/available", {})
    assert with_room.client.must("GET", "/dvgs/fast/balance")["status"] == "uneven"
    planned = with_room.client.must("POST", "/dvgs/fast/rebalance?dry_run=true")["moves"]
    assert {each["source"] for each in planned} <= {"d1", "d2"}
    assert with_room.client.must("POST", "/dvgs/fast/rebalance")["status"] == "rebalancing"
    for _ in range(8):
        with_room.go()
        assert sum(bool(leg.instead_of) for leg in with_room.dlv().legs) <= 2
        with_room.watch()
        assert count_copies(with_room.dlv()) >= 2
    with_room.go()
    found = with_room.client.must("GET", "/dvgs/fast/balance")
    assert (found["status"], found["moving"]) == ("balanced", 0)
    assert with_room.client.must("POST", "/dvgs/fast/rebalance?dry_run=true")["moves"] == []
    assert len({leg.dpv for leg in with_room.dlv().legs}) > 2
