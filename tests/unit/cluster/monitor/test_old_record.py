"""A record that was put back, of which an ihost knows a newer one: nothing is done until an operator gives that up."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable

import pytest

from drystone.base.errors import KernelError
from drystone.cluster.model.calls import withdrawal_of_volume
from drystone.kernel.dm.abc import Ref

from .test_faults import lose_silently, restore_database, write_without_d2
from .world import MIB, PATIENCE, World


def lose_a_commit(world: World) -> int:
    """That a leg has left its set is known to the ihost alone; what was written since is not on d2. Its epoch."""

    def change() -> None:
        world.fail(next(leg.id for leg in world.dlv().legs if leg.group == 1 and leg.dpv == "d2"))
        world.heal()

    restore_database(world, change)
    known = world.ihost.agent.look(world.dlv().id).epoch
    assert (world.outside(), known) == (set(), world.dlv().epoch + 1)
    return known


def force_off(world: World) -> None:
    """As the reason says."""
    assert "say that it is unavailable and detach it by force" in world.dlv().reason
    world.client.must("POST", "/ihosts/h1/unavailable", {"reason": "its newer writes are given up"})
    world.client.must("DELETE", "/dlvs/db/attachment?force=1")


@pytest.fixture
def attached(world: World) -> World:
    world.make()
    world.attach()
    return world


@pytest.mark.parametrize("has_looked", [False, True])
def test_a_dlv_is_not_detached_of_which_its_ihost_knows_more(attached: World, has_looked: bool) -> None:
    world = attached
    before = world.dlv()
    known = lose_a_commit(world)
    world.go(has_looked * 3 * PATIENCE)
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go(4 * PATIENCE)
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment, dlv.epoch) == ("detaching", before.attachment, before.epoch + 1)
    assert f"h1: dlv {dlv.id} is in epoch {known} there, which is not in this database" in dlv.reason
    assert world.ihost.tables()


def test_no_request_gets_past_an_ihost_that_was_seen_to_know_more(attached: World) -> None:
    """Each makes an epoch: the ihost refuses what is older than what it knows, and nothing else."""
    world = attached
    known = lose_a_commit(world)
    world.go(2 * PATIENCE)
    world.puts.clear()
    for _ in range(3):
        world.client.must("POST", "/dlvs/db/extend", {"size": 4 * MIB})
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.start()
    world.go(4 * PATIENCE)
    assert world.dlv().epoch > known
    assert (world.dlv().status, world.puts) == ("detaching", [])
    assert world.ihost.agent.look(world.dlv().id).epoch == known


def test_an_ihost_that_knows_more_is_not_answered_from_the_old_record(attached: World) -> None:
    """By requests that has come to the epoch which the ihost is in; its legs are those of the old one."""
    world = attached
    known = lose_a_commit(world)
    world.go(2 * PATIENCE)
    world.client.must("POST", "/dlvs/db/extend", {"size": 4 * MIB})
    assert world.dlv().epoch == known
    before, tables = world.dlv(), world.ihost.tables()
    world.ihost.dm.fail(world.ihost.legs()[next(iter(world.ihost.legs()))])
    world.watch()
    assert (world.dlv().legs, world.dlv().epoch) == (before.legs, known)
    assert world.ihost.tables() == tables
    assert world.ihost.agent.look(before.id).epoch == known


def test_what_an_ihost_knows_more_is_given_up_by_force(attached: World) -> None:
    world = attached
    known = lose_a_commit(world)
    world.go(2 * PATIENCE)
    force_off(world)
    world.go()
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment, dlv.clean, dlv.epoch > known) == ("detached", None, False, True), dlv.reason
    assert world.ihost.tables() == {}, "it is told then as any other that was shut out"
    world.client.must("POST", "/ihosts/h1/available", {"reason": ""})
    world.attach()
    assert {leg.copying for leg in world.dlv().legs if leg.place == 1} == {True}, "legs that may differ are copied"
    world.watch()
    world.go()
    assert (world.outside(), world.dlv().reason) == (set(), "")


@pytest.mark.parametrize("step", [3, 5, 8, 9])
def test_by_force_it_is_given_up_though_the_monitor_is_killed_again_and_again(attached: World, step: int) -> None:
    world = attached
    lose_a_commit(world)
    world.go(2 * PATIENCE)
    force_off(world)
    world.steps.kill_from(step, 13)
    world.go(12 * PATIENCE)
    assert world.steps.kills
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment, dlv.clean) == ("detached", None, False), dlv.reason


def test_what_an_ihost_knows_that_has_it_by_no_record_is_given_up_when_its_agent_is_stopped(world: World) -> None:
    """It may have written to what the record calls clean, and blank."""
    dlv = world.make()
    known = dlv.epoch + 5
    world.ihost.agent.put(withdrawal_of_volume(dlv.id, known, known, known))
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.dlv().attachment, world.dlv().epoch) == ("attaching", None, dlv.epoch + 1)
    assert f"is in epoch {known} there" in world.dlv().reason
    assert "stop that agent" in world.dlv().reason
    assert world.client.ask("DELETE", "/ihosts/h1")[0] == 409
    world.cut.add("h1:9401")
    world.go(PATIENCE - 1)
    assert world.dlv().epoch == dlv.epoch + 1, "to be away for a moment is not to be given up"
    world.go(2 * PATIENCE)
    assert world.dlv().epoch == known + 1
    assert not any(group.blank for group in world.dlv().groups)
    world.cut.clear()
    world.go()
    assert world.dlv().status == "attached", world.dlv().reason
    assert {leg.copying for leg in world.dlv().legs if leg.place == 1} == {True}


def test_a_dlv_that_its_ihost_knows_more_of_is_not_deleted(world: World) -> None:
    dlv = world.make()
    world.ihost.agent.put(withdrawal_of_volume(dlv.id, dlv.epoch + 5, dlv.epoch + 5, dlv.epoch))
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(2)
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.client.must("DELETE", "/dlvs/db")
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.slices()["d1"]) == ("deleting", {leg.id for leg in dlv.legs if leg.dpv == "d1"})
    world.cut.add("h1:9401")
    world.go(4 * PATIENCE)
    assert world.client.ask("GET", "/dlvs/db")[0] == 404


def test_a_leg_that_its_ihost_cannot_reach_stays_while_that_knows_more(attached: World) -> None:
    """The other one is in the old record's set alone."""
    world = attached
    known = lose_a_commit(world)
    world.client.must("DELETE", "/dlvs/db/attachment")
    assert world.dlv().epoch == known
    before = world.dlv().legs
    lose_silently(world, "d1")
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.dlv().legs) == ("detaching", before), world.dlv().reason
    assert f"is in epoch {known} there" in world.dlv().reason


def count_past(world: World, epoch: int) -> None:
    """Requests raise the epoch, before any monitor has looked."""
    while world.dlv().epoch <= epoch:
        world.client.must("POST", "/dlvs/db/resize", {"size": world.dlv().size + 4 * MIB})


def test_requests_do_not_get_past_a_dpv_that_no_monitor_has_looked_at(world: World) -> None:
    """The leg on d2 alone is old: by the old record it is in its set, and reads from it would show what was there."""
    world.make()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    shutil.rmtree(world.ihost.folder / "notes")  # another ihost, that was never told of the dlv
    world.ihost.boot()
    known = world.dpvs["d1"].agent.look(world.dlv().id).epoch
    count_past(world, known)
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(8 * PATIENCE)
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment, dlv.epoch > known) == ("attaching", None, True)
    assert f"d1: dlv {dlv.id} is in epoch {known} there, which is not in this database" in dlv.reason
    assert world.dpvs["d1"].agent.look(dlv.id).epoch == known
    world.cut.add("d1:9400")
    world.go(3 * PATIENCE)
    assert (world.dlv().status, world.outside()) == ("attached", {"d1"}), "an operator gave it up"
    assert world.dlv().set_epoch > known
    world.bring_back("d1")
    world.go()
    world.watch()
    world.go()
    assert (world.outside(), world.dlv().reason) == (set(), "")


def test_requests_do_not_get_past_an_ihost_that_no_monitor_has_looked_at(attached: World) -> None:
    world = attached
    known = lose_a_commit(world)
    tables = world.ihost.tables()
    count_past(world, known)
    world.go(4 * PATIENCE)
    assert world.ihost.tables() == tables
    assert world.ihost.agent.look(world.dlv().id).epoch == known
    assert f"h1: dlv {world.dlv().id} is in epoch {known} there, which is not in this database" in world.dlv().reason
    force_off(world)
    world.go()
    assert (world.dlv().status, world.dlv().clean) == ("detached", False), world.dlv().reason
    assert world.ihost.tables() == {}


def test_nor_is_a_leg_given_up_that_such_an_ihost_cannot_reach_while_it_is_to_detach(attached: World) -> None:
    """The other one is in the old record's set alone."""
    world = attached
    known = lose_a_commit(world)
    count_past(world, known)
    world.client.must("DELETE", "/dlvs/db/attachment")
    before = world.dlv().legs
    lose_silently(world, "d1")
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.dlv().legs) == ("detaching", before), world.dlv().reason
    assert f"is in epoch {known} there" in world.dlv().reason


def test_what_such_an_ihost_loses_is_not_taken_out_of_the_old_records_sets(make_world: Callable[..., World]) -> None:
    """Requests have the record count on to just the epoch that the ihost is in."""
    world = make_world(dpvs=3)
    world.make(mirrors=3)
    world.attach()
    known = lose_a_commit(world)
    count_past(world, known - 1)
    before, tables = world.dlv(), world.ihost.tables()
    assert before.epoch == known
    world.fail(next(leg.id for leg in before.legs if leg.group == 1 and leg.dpv == "d3"))
    assert (world.dlv().legs, world.ihost.tables()) == (before.legs, tables)


def test_requests_do_not_bring_back_an_attachment_that_was_ended_by_force(attached: World) -> None:
    """What the ihost was writing then may be on one leg and not on the other, and no log says so."""
    world = attached

    def end() -> None:
        world.cut.add("h1:9401")
        world.client.must("POST", "/ihosts/h1/unavailable", {})
        world.client.must("DELETE", "/dlvs/db/attachment?force=1")
        world.go(2 * PATIENCE)
        assert (world.dlv().status, world.dlv().clean) == ("detached", False)
        world.cut.clear()
        world.go()
        assert world.ihost.tables() == {}, "it has given up what it had"

    restore_database(world, end)
    known = world.ihost.agent.look(world.dlv().id).epoch
    count_past(world, known)
    world.go(4 * PATIENCE)
    assert world.ihost.tables() == {}
    assert f"dlv {world.dlv().id} is in epoch {known} there, which is not in this database" in world.dlv().reason


def test_requests_do_not_get_past_a_transaction_that_the_pool_did_not_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has its id since: what the old record takes for the volume that went back is a newer snapshot."""
    world.make()
    world.attach()
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.go()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    message = world.ihost.dm.message

    def refuse(ref: Ref, text: str, *, sector: int = 0) -> str:
        if text.startswith("create_snap"):
            raise KernelError("message", errno.ENOSPC)
        return message(ref, text, sector=sector)

    monkeypatch.setattr(world.ihost.dm, "message", refuse)
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(PATIENCE - 1)
    told = world.dlv()

    def go_on() -> None:
        world.go(4 * PATIENCE)
        monkeypatch.undo()
        assert world.client.must("GET", "/jobs?kind=rollback")["items"][0]["status"] == "failed"
        world.client.must("POST", "/dlvs/db/snapshots", {"name": "tuesday"})
        world.go()
        assert (world.dlv().snapshots[-1].thin_id, world.dlv().thin_id) == (told.thin_id, 0)
        assert world.dlv().transaction_id == told.transaction_id

    restore_database(world, go_on)
    assert world.dlv() == told
    tables = world.ihost.tables()
    known = world.ihost.agent.look(told.id).epoch
    while world.dlv().epoch <= known:
        world.client.must("POST", "/dlvs/db/extend", {"size": 4 * MIB})
    world.go(4 * PATIENCE)
    assert world.ihost.tables() == tables, "the volume is the one that its users have"
    assert f"dlv {told.id} is in epoch {known} there, which is not in this database" in world.dlv().reason


def test_a_monitor_that_remembers_another_record_is_not_misled(world: World) -> None:
    """One that was at work when the database was put back, of which requests make just the epoch that it knows."""
    world.make()
    monitor = world.monitor

    restore_database(world, lambda: write_without_d2(world))
    world.monitor = monitor
    world.bring_back("d2")
    shutil.rmtree(world.ihost.folder / "notes")  # another ihost, that was never told of the dlv
    world.ihost.boot()
    known = world.dpvs["d1"].agent.look(world.dlv().id).epoch
    count_past(world, known - 2)
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    assert world.dlv().epoch == known
    world.go(8 * PATIENCE)
    assert (world.dlv().status, world.dlv().attachment) == ("attaching", None), world.dlv().reason
