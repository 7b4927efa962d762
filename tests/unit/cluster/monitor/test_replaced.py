"""Disks, notes and hosts that are replaced by hand: nothing empty or forgotten counts as what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drystone.cluster.model.calls import VolumeWish

from .test_faults import force_off, restore_database, write_without_d2
from .world import MIB, PATIENCE, SIZE, World


def replace_disk(world: World, name: str) -> None:
    """A dpv is shut down, gets another disk, and is there again."""
    world.lose(name)
    world.dpvs[name].replace_disk()
    world.dpvs[name].agent.recover()
    world.bring_back(name)


def statuses(world: World, dpv: str) -> set[tuple[str, bool, bool]]:
    return {(leg.status, leg.in_sync, leg.copying) for leg in world.dlv().legs if leg.dpv == dpv}


# A dpv's disk


def test_a_leg_on_a_disk_that_was_replaced_is_copied_to_in_full(world: World) -> None:
    world.make()
    world.attach()
    replace_disk(world, "d2")
    assert world.slices()["d2"] == set(), "an agent makes nothing by itself that may be in use"
    world.go()
    assert statuses(world, "d2") == {("ready", False, True)}
    assert not any(leg.noted for leg in world.dlv().legs)
    world.watch()
    world.go()
    assert (world.outside(), world.dlv().status, world.dlv().reason) == (set(), "attached", "")


def test_a_leg_that_is_gone_while_nobody_writes_does_not_count_when_it_is_attached(world: World) -> None:
    world.make()
    world.attach()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    replace_disk(world, "d2")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go()
    assert world.dlv().status == "attached"
    assert statuses(world, "d2") == {("ready", False, True)}


def test_of_the_last_leg_that_holds_all_no_empty_one_is_made(world: World) -> None:
    made = world.make(mirrors=1)
    world.attach()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    (gone,) = {leg.dpv for leg in made.legs if leg.group == 1}
    old = world.dpvs[gone].folder / "disk"
    kept = old.rename(old.with_name("old"))
    replace_disk(world, gone)
    world.go()
    assert "were the last that hold every acknowledged write" in world.dlv().reason
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.dlv().attachment) == ("attaching", None)
    assert "put the disk back" in world.dlv().reason
    assert world.slices()[gone] == set()
    kept.rename(old)
    world.dpvs[gone].boot()
    world.dpvs[gone].agent.recover()
    world.go()
    assert world.dlv().status == "attached", world.dlv().reason


def test_what_is_lost_for_good_can_be_deleted(world: World) -> None:
    (gone,) = {leg.dpv for leg in world.make(mirrors=1).legs if leg.group == 1}
    world.attach()
    replace_disk(world, gone)
    force_off(world)
    world.go()
    assert world.dlv().status == "detached", "a dpv that lacks a leg shuts an ihost out all the same"
    world.client.must("DELETE", "/dlvs/db")
    world.go()
    assert world.client.ask("GET", "/dlvs/db")[0] == 404


def test_a_leg_that_is_gone_leaves_its_set_before_a_dlv_is_free_by_force(world: World) -> None:
    world.make()
    world.attach()
    world.cut.add("h1:9401")
    world.dpvs["d2"].replace_disk()
    world.dpvs["d2"].agent.recover()
    force_off(world)
    world.go()
    assert (world.dlv().status, world.outside()) == ("detached", {"d2"})
    world.cut.clear()
    world.heal()
    world.go()
    world.attach()
    assert statuses(world, "d2") == {("ready", False, True)}


def test_a_disk_that_is_replaced_before_the_dlv_was_used_costs_nothing(world: World) -> None:
    world.make()
    replace_disk(world, "d2")
    world.attach()
    assert (world.outside(), world.dlv().reason) == (set(), "")
    assert not any(leg.copying for leg in world.dlv().legs)


def test_a_leg_that_is_gone_before_its_making_was_recorded_is_made_again(world: World) -> None:
    """The dpv has said that it is there, to a monitor that was killed before it recorded that."""
    world.client.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE})
    world.go(1)
    for at in range(1, 30):
        world.steps.kill_from(at, 1000)
        world.go(1)
        if world.slices()["d2"] and {leg.status for leg in world.dlv().legs} == {"creating"}:
            break
    world.dpvs["d2"].replace_disk()
    world.dpvs["d2"].agent.recover()
    world.steps.kill_from(0, 0)
    world.go()
    assert world.dlv().status == "detached"
    world.attach()


@pytest.mark.parametrize("first", [1, 5, 9])
def test_monitors_are_killed_while_a_disk_is_replaced(make_world: Callable[..., World], first: int) -> None:
    world = make_world()
    world.make()
    world.attach()
    world.steps.kill_from(first, 11)
    replace_disk(world, "d2")
    world.go()
    assert statuses(world, "d2") == {("ready", False, True)}
    world.steps.kill_from(0, 0)
    world.watch()
    world.go()
    assert world.outside() == set()


# An ihost's notes


def test_an_ihost_without_notes_is_shut_out_and_gets_the_dlv_anew(world: World) -> None:
    """As one that has no disk, or was installed anew: what was under way when it ended is on one leg or the other."""
    world.make()
    before = world.attach().attachment
    world.ihost.boot()
    world.ihost.lose_notes()
    world.puts.clear()
    world.go()
    dlv = world.dlv()
    assert (dlv.status, dlv.reason) == ("attached", "")
    assert before is not None
    assert dlv.attachment is not None
    assert dlv.attachment.epoch > before.epoch
    assert {leg.copying for leg in dlv.legs} == {True, False}, "its legs may differ: one is the truth"
    assert ("fencing", "dlv", "db") in world.client.events()
    assert [*world.ihost.nodes] == ["drystone-dlv-db"]


def test_an_ihost_without_notes_has_flushed_nothing(world: World) -> None:
    world.make()
    world.attach()
    world.ihost.boot()
    world.ihost.lose_notes()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert (world.dlv().status, world.dlv().clean) == ("detached", False)


def test_devices_without_notes_are_left_alone_and_nobody_is_let_in(world: World) -> None:
    world.make()
    world.attach()
    world.ihost.lose_notes()
    there = world.ihost.tables()
    world.go()
    assert (world.dlv().status, world.dlv().attachment) == ("attaching", None)
    assert "the notes of this agent are gone" in world.dlv().reason
    assert (world.ihost.tables(), world.admitted()) == (there, set())
    world.ihost.boot()
    world.go()
    assert world.dlv().status == "attached"
    assert {leg.copying for leg in world.dlv().legs} == {True, False}


def test_how_logs_begin_is_said_once(world: World) -> None:
    """The one who recorded it knew; an ihost that asks later had writes meanwhile."""
    world.make()
    world.attach()
    world.puts.clear()
    world.ihost.boot()
    world.ihost.lose_notes()
    epoch = world.dlv().epoch
    world.go()
    told = [wish for _, wish in world.puts if isinstance(wish, VolumeWish) and wish.epoch == epoch]
    assert told, "it is told again before it says that it knows nothing"
    assert {log.bits for wish in told for log in wish.logs} == {"clean"}
    assert not any("nosync" in line.params for wish in told for each in wish.state.devices for line in each.table)


# An ihost that was shut out


def test_an_ihost_that_was_shut_out_gives_up_a_dlv_that_is_gone(world: World) -> None:
    world.make()
    world.attach()
    force_off(world)
    world.go()
    assert world.client.ask("DELETE", "/dlvs/db")[0] == 202
    world.go()
    assert world.client.ask("GET", "/dlvs/db")[0] == 404
    world.start()
    assert world.ihost.nodes, "it does not know yet"
    world.cut.clear()
    world.go(3 * PATIENCE)
    assert (world.ihost.tables(), world.ihost.legs(), world.ihost.nodes) == ({}, {}, {})
    count = len(world.puts)
    world.go(2)
    assert len(world.puts) == count, "it is told once"


def test_an_ihost_that_was_shut_out_is_told_by_whoever_is_the_monitor_then(world: World) -> None:
    world.make()
    world.attach()
    force_off(world)
    world.go()
    assert world.dlv().status == "detached"
    world.start()
    world.cut.clear()
    world.go(3 * PATIENCE)
    assert world.ihost.tables() == {}
    assert world.client.ask("DELETE", "/ihosts/h1")[0] == 204


def test_an_ihost_that_has_a_dlv_again_is_not_told_to_give_it_up(world: World) -> None:
    world.make()
    world.attach()
    force_off(world)
    world.go()
    world.cut.clear()
    world.client.must("POST", "/ihosts/h1/available", {})
    world.attach()
    world.puts.clear()
    world.start()
    world.go(3 * PATIENCE)
    assert world.dlv().status == "attached"
    assert all(wish.disks for _, wish in world.puts if isinstance(wish, VolumeWish))


def test_an_ihost_that_is_forgotten_is_not_waited_for(world: World) -> None:
    world.make()
    world.attach()
    force_off(world)
    world.go()
    assert world.client.ask("DELETE", "/ihosts/h1")[0] == 204
    world.go(2)
    assert world.dlv().status == "detached"


# An extension, and a dpv that dies


def test_a_blank_leg_on_a_dpv_that_is_lost_is_put_elsewhere(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.make()
    world.attach()
    job = world.client.must("POST", "/dlvs/db/extend", {"size": SIZE})
    lost = next(leg.dpv for leg in world.dlv().legs if leg.group == 2)
    world.cut.add(f"{lost}:9400")
    world.go(8 * PATIENCE)
    world.watch()
    world.go()
    dlv = world.dlv()
    assert [group.blank for group in dlv.groups] == [False] * 3
    assert lost not in {leg.dpv for leg in dlv.legs if leg.group == 2}
    assert {leg.in_sync for leg in dlv.legs if leg.group == 2} == {True}
    assert world.client.must("GET", f"/jobs/{job['id']}")["status"] == "finished"
    assert {each["status"] for each in world.client.must("GET", "/jobs")["items"]} == {"finished"}


def test_without_room_elsewhere_a_group_is_begun_without_the_leg(world: World) -> None:
    world.make()
    world.attach()
    job = world.client.must("POST", "/dlvs/db/extend", {"size": SIZE})
    world.cut.add("d2:9400")
    world.go(2)
    assert world.dlv().groups[2].blank, "it may come back"
    world.go(8 * PATIENCE)
    dlv = world.dlv()
    assert not dlv.groups[2].blank
    assert {leg.dpv: leg.in_sync for leg in dlv.legs if leg.group == 2} == {"d1": True, "d2": False}
    assert world.client.must("GET", f"/jobs/{job['id']}")["status"] == "finished"
    world.cut.clear()
    world.go()
    world.watch()
    world.go()
    assert (world.outside(), world.dlv().reason) == (set(), "")


def test_a_dlv_is_attached_while_a_blank_group_cannot_be_reached(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=1)
    world.make(mirrors=1)
    world.attach()
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    world.client.must(
        "POST", "/dpvs", {"name": "d9", "size": 1 << 30, "address": "d9:9400", "portal": "127.0.0.1:3290"}
    )
    world.client.must("POST", "/dpvs/d9/available", {})
    world.client.must("POST", "/dvgs/fast/extend", {"dpvs": ["d9"]})
    world.client.must("POST", "/dlvs/db/extend", {"size": 300 << 20})
    assert {leg.dpv for leg in world.dlv().legs if leg.group == 2} == {"d9"}
    world.cut.add("d9:9400")
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(8 * PATIENCE)
    assert (world.dlv().status, [group.blank for group in world.dlv().groups]) == ("attached", [False, False, True])


def test_a_dlv_is_made_although_a_dpv_dies_meanwhile(make_world: Callable[..., World]) -> None:
    world = make_world(dpvs=3)
    world.client.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE})
    lost = world.dlv().legs[0].dpv
    world.cut.add(f"{lost}:9400")
    world.go(8 * PATIENCE)
    assert world.dlv().status == "detached", world.dlv().reason
    assert lost not in {leg.dpv for leg in world.dlv().legs}
    world.attach()
    assert world.outside() == set()


# A record that was put back


def test_of_a_restored_record_no_number_of_tries_gets_past_a_dpv_that_knows_more(world: World) -> None:
    """Each try is an epoch: a dpv that only compares them is passed some day, with a leg that is old in its set."""
    world.make()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    world.ihost.boot()
    world.ihost.lose_notes()
    for _ in range(8):
        world.client.ask("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
        world.go(3)
        assert world.client.ask("DELETE", "/dlvs/db/attachment")[0] in {202, 204}
        world.go(2)
        assert world.dlv().attachment is None
    assert "is in epoch" in world.dlv().reason
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.cut.add("d1:9400")
    world.go(4 * PATIENCE)
    assert (world.dlv().status, world.outside()) == ("attached", {"d1"}), "an operator gave it up"
    assert {content[1024] for content in world.ihost.logs.contents.values()} == {0}, "no log knows what it has"
    world.cut.clear()
    world.go()
    world.watch()
    world.go()
    assert (world.outside(), world.dlv().reason) == (set(), "")


def test_of_a_restored_record_nothing_is_changed_while_a_dpv_knows_a_newer_one(world: World) -> None:
    """It says attached, and knows nothing of the writes that d1 alone has."""
    world.make()
    before = world.attach()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    world.puts.clear()
    world.go(4 * PATIENCE)
    dlv = world.dlv()
    assert (dlv.status, dlv.epoch, dlv.legs) == ("attached", before.epoch, before.legs)
    assert f"d1: dlv {dlv.id} is in epoch" in dlv.reason
    assert not any(isinstance(wish, VolumeWish) for _, wish in world.puts)


def test_of_a_restored_record_no_leg_is_made_anew_while_a_dpv_knows_a_newer_one(world: World) -> None:
    """By every epoch that such a record goes on it comes nearer to one that d1 takes for newer than what it knows."""
    before = world.make()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    replace_disk(world, "d2")
    world.go(4 * PATIENCE)
    dlv = world.dlv()
    assert (dlv.status, dlv.epoch, dlv.legs) == ("detached", before.epoch, before.legs)
    assert f"d1: dlv {dlv.id} is in epoch" in dlv.reason


def test_of_a_restored_record_that_has_come_to_the_epoch_of_a_dpv_no_try_gets_past_it(world: World) -> None:
    """It is the same number, of something else: the next one would be newer."""
    world.make()
    before = world.attach()
    restore_database(world, lambda: write_without_d2(world))
    world.bring_back("d2")
    known = max(host.agent.look(before.id).epoch for host in world.dpvs.values())
    while world.dlv().epoch < known:
        world.client.must("POST", "/dlvs/db/extend", {"size": 4 * MIB})
    world.go(2 * PATIENCE)
    assert f"is in epoch {known} there" in world.dlv().reason
    world.client.must("POST", "/dlvs/db/extend", {"size": 4 * MIB})
    world.puts.clear()
    world.go(2 * PATIENCE)
    assert f"is in epoch {known} there" in world.dlv().reason
    assert not any(isinstance(wish, VolumeWish) for _, wish in world.puts)
