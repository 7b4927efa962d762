"""Ihosts and dpvs that are away, at the worst moments; monitors that are several."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from msgspec.structs import replace

from drystone.base.errors import UnavailableError
from drystone.cluster.agents.answers import LegsSeen
from drystone.cluster.model.calls import LegsWish, VolumeWish
from drystone.kernel.iscsi.abc import Session
from drystone.testing.cluster.bench import HOST

from .world import PATIENCE, SIZE, World


def force_off(world: World) -> None:
    """The ihost does not answer; an operator wants the dlv off it."""
    world.cut.add("h1:9401")
    world.go(PATIENCE + 1)
    assert world.client.must("GET", "/ihosts/h1")["status"] == "unavailable"
    world.client.must("DELETE", "/dlvs/db/attachment?force=1")


def test_by_force_a_dlv_is_free_once_all_dpvs_have_shut_its_ihost_out(world: World) -> None:
    world.make()
    world.attach()
    force_off(world)
    assert world.admitted() == {HOST}
    world.go()
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment, dlv.clean) == ("detached", None, False)
    assert world.admitted() == set()
    assert world.outside() == set()


def test_by_force_a_leg_of_a_dpv_that_cannot_shut_the_ihost_out_leaves_its_set(world: World) -> None:
    world.make()
    world.attach()
    world.cut.add("d2:9400")
    force_off(world)
    world.go(PATIENCE - 1)
    assert world.dlv().status == "fencing", "it is waited for"
    world.go()
    assert (world.dlv().status, world.outside()) == ("detached", {"d2"})
    assert world.dpvs["d2"].admitted() != {}


def test_an_ihost_that_is_being_shut_out_gives_up_no_leg(world: World) -> None:
    """One dpv after the other lets it in no more: to its mirrors that looks like legs that are lost."""
    world.make()
    dlv = world.attach()
    world.cut.add("d2:9400")
    force_off(world)
    world.go(1)
    assert world.dlv().status == "fencing"
    for leg in dlv.legs:
        if leg.dpv == "d1":
            world.fail(leg.id)
    assert world.outside() == set()
    world.cut.discard("d2:9400")
    world.go()
    assert (world.dlv().status, world.outside()) == ("detached", set())


def test_patience_is_of_rounds_in_a_row(world: World) -> None:
    """A connection that is lost for a moment now and then takes no leg out of its set."""
    world.make()
    world.attach()
    gone = {target.iqn for target in world.dpvs["d2"].lio.targets()}
    for _ in range(2 * PATIENCE):
        world.ihost.initiator.offline |= gone
        world.go(1)
        world.ihost.initiator.offline.clear()
        world.go(1)
    assert world.outside() == set()
    world.ihost.initiator.offline |= gone
    world.go(PATIENCE - 1)
    assert world.outside() == set()
    world.go(2)
    assert world.outside() == {"d2"}


def test_a_dpv_whose_call_fails_with_the_ihost_still_in_has_not_shut_it_out(world: World) -> None:
    world.make()
    world.attach()
    tree = world.dpvs["d2"].lio.tree
    tree.stalled |= {(target, HOST) for target in world.dpvs["d2"].admitted()}
    force_off(world)
    world.go(PATIENCE - 1)
    assert world.dlv().status == "fencing", "it is waited for"
    world.go()
    assert (world.dlv().status, world.outside()) == ("detached", {"d2"})


def test_a_dpv_that_does_not_know_of_the_fence_has_not_shut_an_ihost_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is in after its boot, and a call of before may come late."""
    world.make()
    world.attach()
    force_off(world)
    world.dpvs["d2"].boot()
    world.dpvs["d2"].agent.recover()

    def refuse(wish: LegsWish) -> LegsSeen:
        raise UnavailableError("it was not noted")

    monkeypatch.setattr(world.dpvs["d2"].agent, "put", refuse)
    world.go()
    assert {name for names in world.dpvs["d2"].admitted().values() for name in names} == set()
    assert (world.dlv().status, world.outside()) == ("detached", {"d2"})


def test_a_dpv_whose_disk_is_gone_has_shut_an_ihost_out(world: World) -> None:
    world.make()
    world.attach()
    (world.dpvs["d2"].folder / "disk").unlink()
    force_off(world)
    world.go()
    assert (world.dlv().status, world.outside()) == ("detached", set())


def test_a_log_of_an_ihost_that_stood_still_before_its_first_table_has_all_in_sync(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table after it says no more how the log begins, and both legs are in the set."""
    world.make()

    def refuse(*_: object) -> None:
        if world.ihost.logs.contents:
            raise UnavailableError("it was killed")

    with monkeypatch.context() as patch:
        patch.setattr(world.ihost.agent, "_swap", refuse)
        world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
        world.go(1)
        assert world.ihost.logs.contents
    world.client.must("POST", "/dlvs/db/extend", {"size": SIZE})
    world.go()
    assert (world.dlv().status, world.outside()) == ("attached", set())
    first = [table for name, table in world.ihost.tables().items() if name.endswith((":g0.s0", ":g1.s0"))]
    assert len(first) == 2
    for table in first:
        assert "nosync" not in table
    for name, content in world.ihost.logs.contents.items():
        if "_g0.s0_" in name or "_g1.s0_" in name:
            assert content[1024], "a blank log is read as all out of sync"


def restore_database(world: World, change: Callable[[], None]) -> None:
    """Have the database as it was before a change, and a monitor that remembers nothing."""
    path = world.database.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(":memory:")) as copy:
        live.backup(copy)
        change()
        copy.backup(live)
    world.start()


def write_without_d2(world: World) -> None:
    world.lose("d2")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(3 * PATIENCE)
    assert (world.dlv().status, world.outside()) == ("attached", {"d2"})
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert world.dlv().attachment is None


def test_of_a_restored_record_a_dlv_is_not_attached_while_a_dpv_knows_a_newer_one(world: World) -> None:
    """The leg on d2 alone is old: what was written since is on d1."""
    world.make()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    shutil.rmtree(world.ihost.folder / "notes")  # another ihost, that was never told of the dlv
    world.ihost.boot()
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(8 * PATIENCE)
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment) == ("attaching", None)
    assert f"d1: dlv {dlv.id} is in epoch" in dlv.reason
    assert "stop that agent" in dlv.reason
    world.cut.add("d1:9400")
    world.go(PATIENCE - 1)
    assert world.dlv().attachment is None, "to be away for a moment is not to be given up"
    world.go(2 * PATIENCE)
    assert (world.dlv().status, world.outside()) == ("attached", {"d1"}), "an operator gave it up"


def test_of_a_restored_record_a_dlv_is_not_taken_while_a_dpv_knows_a_newer_one(world: World) -> None:
    world.make()
    before = world.attach()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    world.cut.add("h1:9401")
    world.go(3 * PATIENCE)
    world.client.must("DELETE", "/dlvs/db/attachment?force=1")
    world.go(8 * PATIENCE)
    assert (world.dlv().status, world.dlv().attachment) == ("fencing", before.attachment)
    assert f"d1: dlv {before.id} is in epoch" in world.dlv().reason


def test_while_no_dpv_answers_nothing_is_taken_from_an_ihost(world: World) -> None:
    world.make()
    before = world.attach()
    world.cut |= {"d1:9400", "d2:9400"}
    force_off(world)
    world.go(4 * PATIENCE)
    dlv = world.dlv()
    assert (dlv.status, dlv.attachment) == ("fencing", before.attachment)
    assert "may still be writing" in dlv.reason
    world.cut -= {"d1:9400", "d2:9400"}
    world.go()
    assert world.dlv().status == "detached"


def test_what_an_ihost_had_is_void_before_it_is_let_in_again(world: World) -> None:
    world.make()
    world.attach()
    force_off(world)
    world.go()
    assert world.ihost.nodes, "it does not know yet"
    world.puts.clear()
    world.cut.discard("h1:9401")
    world.go()
    assert world.ihost.tables() == {}, "it is told as soon as it answers"
    dlv = world.attach()
    first, *others = [wish for _, wish in world.puts if wish.dlv == dlv.id]
    assert isinstance(first, VolumeWish)
    assert first.state.devices == ()
    assert any(isinstance(wish, LegsWish) and wish.exports[0].initiators for wish in others)
    assert {leg.in_sync for leg in dlv.legs if leg.place == 0} == {True}
    assert {leg.copying for leg in dlv.legs if leg.place == 1} == {True}
    world.watch()
    assert world.outside() == set()


def test_an_ihost_that_was_started_anew_is_shut_out_and_gets_the_dlv_again(world: World) -> None:
    world.make()
    before = world.attach()
    world.ihost.boot()
    world.ihost.agent.recover()
    world.go()
    dlv = world.dlv()
    assert (dlv.status, dlv.wanted, dlv.reason) == ("attached", "h1", "")
    assert dlv.attachment is not None
    assert before.attachment is not None
    assert dlv.attachment.epoch > before.attachment.epoch
    assert {leg.copying for leg in dlv.legs} == {True, False}, "its legs may differ: one is the truth"
    first, *others = [wish for _, wish in world.puts if wish.epoch == dlv.attachment.epoch - 1]
    assert isinstance(first, VolumeWish), "what it has is void before a dpv lets it in"
    assert first.disks == ()
    assert {wish.exports[0].initiators for wish in others if isinstance(wish, LegsWish)} == {(HOST,)}
    assert [*world.ihost.nodes] == ["drystone-dlv-db"]


def test_a_wish_that_is_given_up_while_the_ihost_is_shut_out_stays_given_up(world: World) -> None:
    world.make()
    world.attach()
    world.ihost.boot()
    world.ihost.agent.recover()
    world.cut |= {"d1:9400", "d2:9400"}
    world.go(2)
    assert (world.dlv().status, world.dlv().wanted) == ("fencing", "h1")
    assert world.client.must("DELETE", "/dlvs/db/attachment")["status"] == "fencing"
    world.cut.clear()
    world.go()
    assert (world.dlv().status, world.dlv().wanted) == ("detached", "")


def test_a_dpv_that_was_started_anew_lets_the_ihost_in_again(world: World) -> None:
    world.make()
    world.attach()
    world.dpvs["d1"].boot()
    world.dpvs["d1"].agent.recover()
    world.go()
    assert all(names == [HOST] for names in world.dpvs["d1"].admitted().values())
    assert world.dpvs["d1"].admitted()


def test_a_dpv_that_is_away_at_attach_is_waited_for_and_then_gone_on_without(world: World) -> None:
    world.make()
    world.lose("d2")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(PATIENCE - 1)
    assert world.dlv().attachment is None
    assert "d2" in world.dlv().reason
    world.go()
    assert (world.dlv().status, world.outside()) == ("attached", {"d2"})
    world.bring_back("d2")
    world.go()
    world.watch()
    assert world.outside() == set()


def test_when_it_alone_comes_back_later_attaching_is_refused(world: World) -> None:
    """This is where the original shows old data."""
    world.make()
    world.lose("d2")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(2 * PATIENCE)
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    world.bring_back("d2")
    world.lose("d1")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.dlv().attachment) == ("attaching", None)
    assert "any other leg would show old data" in world.dlv().reason or "can be reached" in world.dlv().reason
    world.bring_back("d1")
    world.go()
    assert world.dlv().status == "attached"


def test_an_ihost_that_cannot_reach_a_dpv_gets_the_dlv_without_it(world: World) -> None:
    """The monitor reaches it: who is let in there cannot get there."""
    world.make()
    lio = world.dpvs["d2"].lio

    def refuse() -> None:
        for target in lio.targets():
            lio.enable_target(target.iqn, enabled=False)

    world.ihost.initiator.before_login = refuse
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(4 * PATIENCE)
    assert [*world.ihost.nodes] == ["drystone-dlv-db"]
    assert world.dlv().attachment is not None
    assert world.outside() == {"d2"}


def test_what_a_monitor_recorded_and_nobody_was_told_of_is_told_by_the_next(world: World) -> None:
    """Handed over, and killed before the ihost knew: how logs begin was in its memory only."""
    world.make()
    world.lose("d2")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    put = world.ihost.agent.put

    def refuse(wish: VolumeWish, *, patience: float = 0) -> object:
        if wish.disks:
            raise UnavailableError("the wire broke")
        return put(wish, patience=patience)

    world.ihost.agent.put = refuse  # type: ignore[method-assign, assignment]
    world.go(2 * PATIENCE)
    assert world.dlv().attachment is not None
    world.ihost.agent.put = put  # type: ignore[method-assign]
    world.start()
    world.go(3 * PATIENCE)
    assert world.dlv().status == "attached"
    assert [*world.ihost.nodes] == ["drystone-dlv-db"]
    world.bring_back("d2")
    world.go()
    world.watch()
    assert world.outside() == set()


def test_one_of_several_monitors_works_and_another_takes_over(make_world: Callable[..., World]) -> None:
    world = make_world()
    other = world.make_monitor("other")
    assert world.monitor.go()
    for _ in range(3 * PATIENCE):
        assert not other.go()
        assert world.monitor.go()
    taken = [other.go() for _ in range(PATIENCE + 2)]
    assert taken[0] is False
    assert taken[-1] is True
    assert not world.monitor.go()


def test_two_monitors_at_once_do_each_thing_once(make_world: Callable[..., World]) -> None:
    """As when the one that was stopped for long goes on: both hold the lease for what they know."""
    world = make_world(dpvs=3)
    world.make()
    lost = world.attach().legs[0].dpv
    other = world.make_monitor("monitor1")
    world.lose(lost)
    for _ in range(4 * PATIENCE):
        world.monitor.go()
        other.go()
    jobs = world.client.must("GET", "/jobs")["items"]
    legs = [leg for leg in world.dlv().legs if not leg.in_sync]
    assert len(jobs) == len(legs)
    world.watch()
    world.go()
    assert world.outside() == set()


def test_a_leg_that_is_lost_while_the_dlv_is_to_be_detached(world: World) -> None:
    """What the ihost is told by the record then is a wish of that epoch, and another one than to have nothing."""
    world.make()
    dlv = world.attach()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.fail(dlv.legs[-1].id)
    assert world.ihost.agent.look(dlv.id).epoch == world.dlv().epoch
    world.go(3 * PATIENCE)
    assert (world.dlv().status, world.outside()) == ("detached", {dlv.legs[-1].dpv})
    assert world.ihost.tables() == {}


def test_an_ihost_that_knows_more_than_the_record_is_left_alone(world: World) -> None:
    """As after a backup of the database was restored."""
    world.make()
    dlv = world.attach()
    wish = world.puts[-1][1]
    assert isinstance(wish, VolumeWish)
    world.ihost.agent.put(replace(wish, epoch=wish.epoch + 5))
    world.go(4 * PATIENCE)
    assert world.dlv().epoch == dlv.epoch
    assert f"in epoch {dlv.epoch + 5} there" in world.dlv().reason


def lose_silently(world: World, name: str) -> None:
    """A dpv is gone, and no mirror tells, as nothing is written."""
    world.cut.add(f"{name}:9400")
    lio, initiator = world.dpvs[name].lio, world.ihost.initiator
    gone = {target.iqn for target in lio.targets()}
    for target in gone:
        lio.enable_target(target, enabled=False)
    initiator.offline |= gone
    sessions = initiator.sessions

    def see() -> list[Session]:
        lost = initiator.offline
        return [dataclasses.replace(each, state="FREE") if each.target in lost else each for each in sessions()]

    initiator.sessions = see  # type: ignore[method-assign]


def test_a_leg_that_is_lost_without_a_write_leaves_its_set_too(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    lost = world.attach().legs[0].dpv
    lose_silently(world, lost)
    world.go(6 * PATIENCE)
    assert lost not in {leg.dpv for leg in world.dlv().legs}
    world.watch()
    world.go()
    assert world.outside() == set()


def test_a_dlv_is_detached_without_a_leg_that_is_gone(world: World) -> None:
    """Of that one nothing can be flushed: it is not in its set first."""
    world.make()
    world.attach()
    lose_silently(world, "d2")
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go(6 * PATIENCE)
    assert (world.dlv().status, world.outside(), world.dlv().clean) == ("detached", {"d2"}, True)
    assert world.ihost.tables() == {}


def test_an_ihost_that_has_taken_all_down_and_cannot_flush_a_leg_is_shut_out(world: World) -> None:
    world.make()
    world.attach()

    def lose(_path: str) -> None:
        if not world.cut:
            lose_silently(world, "d2")
        raise UnavailableError("the disk is gone")

    world.ihost.agent._flush = lose
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go(6 * PATIENCE)
    assert ("fencing", "dlv", "db") in world.client.events()
    assert world.ihost.tables() == {}
    assert (world.dlv().status, world.outside(), world.dlv().clean) == ("detached", {"d2"}, False)


def test_nobody_is_let_in_before_the_ihost_has_said_that_it_has_nothing(world: World) -> None:
    world.make()
    world.cut.add("h1:9401")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(2 * PATIENCE)
    assert (world.admitted(), world.dlv().attachment) == (set(), None)
    assert world.dlv().reason == "h1: its agent does not answer"
    world.cut.clear()
    world.go()
    assert world.dlv().status == "attached"
