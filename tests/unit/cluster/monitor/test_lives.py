"""The lives of dlvs, from wishes that the API records to kernels that have what is wished."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from drystone.base.errors import KernelError
from drystone.cluster.model.calls import VolumeWish
from drystone.kernel.dm.abc import Ref

from .world import PATIENCE, SIZE, World


def test_a_dlv_is_made_attached_detached_and_deleted(world: World) -> None:
    dlv = world.make()
    assert {leg.status for leg in dlv.legs} == {"ready"}
    assert world.slices() == {name: {leg.id for leg in dlv.legs if leg.dpv == name} for name in world.dpvs}
    assert world.admitted() == set()
    dlv = world.attach()
    assert dlv.attachment is not None
    assert [*world.ihost.nodes] == ["drystone-dlv-db"]
    assert "nosync" in world.ihost.tables()["drystone-dlv-db:g1.s0"]
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert (world.dlv().status, world.dlv().reason, world.dlv().clean) == ("detached", "", True)
    assert world.ihost.tables() == {}
    assert world.admitted() == set()
    assert world.client.ask("DELETE", "/dlvs/db")[0] == 202
    world.go()
    assert world.client.ask("GET", "/dlvs/db")[0] == 404
    assert world.slices() == {"d1": set(), "d2": set()}
    told = [what for what, kind, _ in world.client.events() if kind == "dlv"]
    assert told == [
        "creating", "detached", "attaching", "handed", "attached", "detaching", "detached", "deleting", "deleted",
    ]  # fmt: skip


def test_a_snapshot_is_made_while_the_origin_is_suspended_and_deleted(world: World) -> None:
    world.make()
    world.attach()
    world.ihost.calls.clear()
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "tuesday"})
    world.go()
    assert [(each.status, each.reason) for each in world.dlv().snapshots] == [("available", "")] * 2
    origin = world.ihost.dm.info("drystone-dlv-db:thin0").number
    told = [call for call in world.ihost.calls if call.operation in {"suspend", "message", "resume"}]
    for number in (1, 2):
        at = next(at for at, call in enumerate(told) if call.arguments.get("text") == f"create_snap {number} 0")
        last = [call.operation for call in told[:at] if call.arguments["ref"] == origin][-1]
        following = next(call.operation for call in told[at:] if call.arguments["ref"] == origin)
        assert (last, following) == ("suspend", "resume")
    assert world.client.ask("DELETE", "/dlvs/db/snapshots/monday")[0] == 202
    world.go()
    assert [each.name for each in world.dlv().snapshots] == ["tuesday"]
    assert ("deleted", "snapshot", "db@monday") in world.client.events()
    assert world.dlv().transaction_id == 3


def test_a_snapshot_that_the_pool_refuses_has_failed_and_holds_nothing_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.make()
    leg = world.attach().legs[-1]
    message = world.ihost.dm.message

    def refuse(ref: Ref, text: str, *, sector: int = 0) -> str:
        if text == "create_snap 2 0":
            raise KernelError("message", errno.ENOSPC)
        return message(ref, text, sector=sector)

    monkeypatch.setattr(world.ihost.dm, "message", refuse)
    for name in ("monday", "tuesday"):
        world.client.must("POST", "/dlvs/db/snapshots", {"name": name})
    world.go(PATIENCE - 1)
    assert {each.status for each in world.dlv().snapshots} == {"creating"}
    world.go()
    assert [(each.status, "ENOSPC" in each.reason) for each in world.dlv().snapshots] == [("failed", True)] * 2
    told = [wish for _, wish in world.puts if isinstance(wish, VolumeWish) and "delete 2" in str(wish.state)]
    assert told[0].set_epoch == told[0].epoch, "no old record takes them for made"
    assert (world.dlv().status, world.dlv().reason) == ("attached", "")
    world.fail(leg.id)
    world.heal()
    world.go()
    world.watch()
    assert world.outside() == set(), "legs are caught up"
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "wednesday"})
    for name in ("monday", "tuesday"):
        assert world.client.ask("DELETE", f"/dlvs/db/snapshots/{name}")[0] == 202
    world.go()
    assert [(each.name, each.status, each.thin_id) for each in world.dlv().snapshots] == [("wednesday", "available", 3)]
    pool = world.ihost.agent.look(world.dlv().id).pool
    assert pool is not None
    assert pool.transaction_id == world.dlv().transaction_id == 3


def test_of_a_pool_that_refuses_all_a_snapshot_has_failed_and_legs_are_caught_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read-only: it does not take that what was made of the snapshot is deleted, either."""
    world.make()
    leg = world.attach().legs[-1]

    def refuse(ref: Ref, text: str, *, sector: int = 0) -> str:
        raise KernelError("message", errno.EOPNOTSUPP)

    monkeypatch.setattr(world.ihost.dm, "message", refuse)
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.go(4 * PATIENCE)
    assert [each.status for each in world.dlv().snapshots] == ["failed"]
    assert (world.dlv().status, world.dlv().reason, world.dlv().transaction_id) == ("attached", "", 1)
    assert world.dlv().set_epoch == world.dlv().epoch, "no old record counts past it: the next one has its id"
    world.fail(leg.id)
    world.heal()
    world.go()
    world.watch()
    assert world.outside() == set(), "legs are caught up"
    monkeypatch.undo()
    assert world.client.ask("DELETE", "/dlvs/db/snapshots/monday")[0] == 202
    world.go()
    assert (world.dlv().snapshots, world.dlv().transaction_id) == ((), 2)
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert world.dlv().status == "detached", world.dlv().reason


def test_a_snapshot_that_is_planned_while_detached_is_made_with_the_next_attachment(world: World) -> None:
    world.make()
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.go()
    assert [each.status for each in world.dlv().snapshots] == ["planned"]
    world.attach()
    assert [each.status for each in world.dlv().snapshots] == ["available"]


def test_a_pool_is_extended_while_attached_and_while_not(world: World) -> None:
    world.make()
    first = world.client.must("POST", "/dlvs/db/extend", {"size": SIZE})
    world.go()
    assert world.client.must("GET", f"/jobs/{first['id']}")["status"] == "finished"
    world.attach()
    assert "drystone-dlv-db:g2.s0" in world.ihost.tables()
    second = world.client.must("POST", "/dlvs/db/extend", {"size": 2 * SIZE})
    world.go()
    ended = world.client.must("GET", f"/jobs/{second['id']}")
    assert (ended["status"], ended["reason"]) == ("finished", "")
    assert [group.blank for group in world.dlv().groups] == [False] * 4
    pool = world.ihost.agent.look(world.dlv().id).pool
    assert pool is not None
    assert pool.data_blocks == 4 * SIZE // 65536


def test_a_pool_that_is_nearly_full_grows_by_itself_again_and_again(world: World) -> None:
    world.make(size=4 * SIZE, initial_size=2 * SIZE)
    world.attach()
    assert world.client.must("GET", "/jobs")["items"] == []
    sectors = SIZE // 512
    world.ihost.dm.write("drystone-dlv-db", 0, sectors - 128)
    world.go()
    assert world.client.must("GET", "/jobs")["items"] == [], "more than half of it is free"
    world.ihost.dm.write("drystone-dlv-db", sectors - 128, 128)
    world.go()
    (job,) = world.client.must("GET", "/jobs")["items"]
    assert (job["kind"], job["status"]) == ("extend", "finished")
    world.ihost.dm.write("drystone-dlv-db", sectors, 3 * sectors)
    world.go()
    assert len(world.dlv().groups) == 3, "all of the volume has room: it wants no more"


def test_a_leg_that_comes_back_soon_is_caught_up(world: World) -> None:
    world.make()
    dlv = world.attach()
    leg = dlv.legs[-1]
    world.fail(leg.id)
    assert [each.id for each in world.dlv().legs if not each.in_sync] == [leg.id]
    world.heal()
    world.go()
    (found,) = [each for each in world.dlv().legs if each.copying]
    assert (found.id, found.noted) == (leg.id, True)
    world.watch()
    assert world.outside() == set()
    assert world.client.must("GET", "/jobs")["items"] == []
    assert {each.id for each in world.dlv().legs} == {each.id for each in dlv.legs}


def test_a_dpv_that_is_lost_is_replaced_and_gives_its_legs_up_when_it_is_back(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    dlv = world.attach()
    lost = dlv.legs[0].dpv
    count = len([leg for leg in dlv.legs if leg.dpv == lost])
    world.lose(lost)
    assert world.outside() == {lost}
    world.go(PATIENCE - 1)
    assert world.client.must("GET", "/jobs")["items"] == [], "it may come back"
    world.go()
    jobs = world.client.must("GET", "/jobs")["items"]
    assert [(job["kind"], job["status"]) for job in jobs] == [("failover", "finishing")] * count
    assert world.client.must("GET", f"/dpvs/{lost}")["status"] == "unavailable"
    assert len([leg for leg in world.dlv().legs if leg.copying]) == count
    assert lost not in {leg.dpv for leg in world.dlv().legs}
    world.watch()
    world.go()
    assert world.outside() == set()
    assert {leg.dpv for leg in world.dlv().legs} == {*world.dpvs} - {lost}
    assert {job["status"] for job in world.client.must("GET", "/jobs")["items"]} == {"finished"}
    assert world.client.must("GET", f"/dpvs/{lost}")["used"] > 0, "its legs are there still"
    world.bring_back(lost)
    world.go()
    assert world.slices()[lost] == set()
    assert world.client.must("GET", f"/dpvs/{lost}") | {"status": "available", "used": 0} == world.client.must(
        "GET", f"/dpvs/{lost}"
    )


def test_without_room_for_another_leg_it_says_so_and_goes_on(world: World) -> None:
    world.make()
    world.attach()
    world.lose("d2")
    world.go(4 * PATIENCE)
    assert "no room for another leg" in world.dlv().reason
    assert world.dlv().status == "attached"
    world.bring_back("d2")
    world.go()
    world.watch()
    world.go()
    assert (world.outside(), world.dlv().reason) == (set(), "")


def test_what_a_lost_dpv_has_of_a_dlv_that_is_gone_goes_too(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    lost = world.attach().legs[0].dpv
    world.lose(lost)
    world.go(4 * PATIENCE)
    world.watch()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    world.client.must("DELETE", "/dlvs/db")
    world.go()
    assert world.client.ask("GET", "/dlvs/db")[0] == 404
    assert world.slices()[lost] != set()
    world.bring_back(lost)
    world.go()
    assert world.slices()[lost] == set()


def test_a_dlv_is_deleted_while_a_dpv_is_away_for_long(world: World) -> None:
    world.make()
    world.lose("d2")
    world.client.must("DELETE", "/dlvs/db")
    world.go(PATIENCE - 1)
    assert world.dlv().status == "deleting"
    world.go(2 * PATIENCE)
    assert world.client.ask("GET", "/dlvs/db")[0] == 404
    assert world.client.must("GET", "/dpvs/d2")["used"] > 0
    world.bring_back("d2")
    world.go()
    assert world.slices() == {"d1": set(), "d2": set()}
    assert world.client.must("GET", "/dpvs/d2")["used"] == 0
