"""The next step of a placement: failover, copies made anew, disks emptied."""

import msgspec
import pytest

from drystone.fleet.documents import MemberState, Placement
from drystone.fleet.mapping.decide import decide_placements, decide_servers, lead, settle
from drystone.fleet.mapping.model import Leftover, ServerChange
from drystone.testing.fleet.sketch import Sketch, copy_on


def step_of(sketch: Sketch, placement: Placement) -> Placement | None:
    change = settle(sketch.view(), placement)
    if change is None:
        return None
    assert change.before == placement.epoch
    assert change.placement.epoch == placement.epoch + 1
    return change.placement


def states(placement: Placement) -> dict[str, str]:
    return {each.server: each.state for each in placement.members}


def test_what_is_well_stays() -> None:
    sketch = Sketch()
    assert step_of(sketch, sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))) is None


def test_a_silent_leader_is_replaced_by_one_in_sync() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"), copy_on("s3/1"))
    sketch.silence("s1", seconds=7)
    after = step_of(sketch, placement)
    assert after is not None
    assert after.leader == "s3"
    assert states(after) == {"s3": "in_sync", "s2": "copying"}


def test_a_change_of_the_leader_leaves_only_the_new_one_in_sync() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1"))
    sketch.silence("s1", seconds=7)
    after = step_of(sketch, placement)
    assert after is not None
    assert states(after) == {"s2": "in_sync", "s3": "comparing"}


def test_who_compares_itself_keeps_what_was_acknowledged_when_the_leader_changes_again() -> None:
    sketch = Sketch(servers=4)
    members = (copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1", "comparing"), copy_on("s4/1", "copying"))
    placement = sketch.place("h", *members)
    assert states(lead(placement, members[1], "").placement) == {
        "s2": "in_sync", "s1": "comparing", "s3": "comparing", "s4": "copying"
    }  # fmt: skip
    accepting_loss = lead(placement, members[3], "").placement
    assert states(accepting_loss) == {"s4": "in_sync", "s1": "copying", "s2": "copying", "s3": "copying"}


@pytest.mark.parametrize("how", ["disk gone", "marked bad"])
def test_who_compares_itself_leads_when_all_in_sync_are_lost(how: str) -> None:
    sketch = Sketch()
    members = (copy_on("s1/1"), copy_on("s2/1", "comparing"), copy_on("s3/1", "copying"))
    placement = sketch.place("h", *members)
    match how:
        case "disk gone":
            sketch.health["s1-1"] = "missing"
            sketch.hear("s1")
        case _:
            sketch.mark("s1-1", "bad")
    after = step_of(sketch, placement)
    assert after is not None
    assert after.leader == "s2"
    assert states(after) == {"s2": "in_sync", "s3": "copying"}


@pytest.mark.parametrize("seconds", [7, 600])
def test_one_that_was_comparing_itself_leads_when_none_in_sync_can(seconds: int) -> None:
    """It lacks nothing that was acknowledged or shown, so nobody is waited for."""
    sketch = Sketch()
    members = (copy_on("s1/1"), copy_on("s3/1"), copy_on("s2/1", "comparing"))
    placement = sketch.place("h", *members)
    sketch.mark("s1-1", "bad")
    sketch.silence("s3", seconds=seconds)
    after = step_of(sketch, placement)
    assert after is not None
    assert (after.leader, states(after)) == ("s2", {"s2": "in_sync"})


@pytest.mark.parametrize("heir", ["s2", "s3"])
def test_one_in_sync_goes_before_one_that_was_comparing_itself(heir: str) -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s3/1", "comparing"), copy_on("s2/1"))
    if heir == "s3":
        sketch.health["s2-1"] = "missing"
    sketch.silence("s1", seconds=600)
    after = step_of(sketch, placement)
    assert after is not None
    assert after.leader == heir


def test_without_another_in_sync_the_placement_waits() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"))
    sketch.silence("s1", seconds=600)
    assert step_of(sketch, placement) is None


def test_nobody_is_deposed_for_one_that_fell_silent_too() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.silence("s1", "s2", seconds=5)
    sketch.now += 1.5
    sketch.hear("s3")
    assert step_of(sketch, placement) is None


def test_a_leader_with_a_bad_disk_is_replaced_at_once() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.health["s1-1"] = "missing"
    sketch.silence(seconds=1)
    after = step_of(sketch, placement)
    assert after is not None
    assert (after.leader, states(after)) == ("s2", {"s2": "in_sync"})


def test_a_disk_that_its_server_does_not_list_is_bad() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.disks["s1"].remove("s1-1")
    sketch.silence(seconds=1)
    after = step_of(sketch, placement)
    assert after is not None
    assert after.leader == "s2"


def test_an_operator_gives_a_disk_up() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.mark("s2-1", "bad")
    after = step_of(sketch, placement)
    assert after is not None
    assert states(after) == {"s1": "in_sync"}


def test_a_silent_follower_is_given_up_and_awaited_for_a_while() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.silence("s2", seconds=7)
    alone = step_of(sketch, placement)
    assert alone is not None
    assert states(alone) == {"s1": "in_sync"}
    sketch.model.put_placement(alone)
    sketch.model.leftovers[alone.id, "s2-1"] = Leftover(alone.id, "s2-1", 0.0)
    assert step_of(sketch, alone) is None
    sketch.silence("s2", seconds=30)
    after = step_of(sketch, alone)
    assert after is not None
    assert states(after) == {"s1": "in_sync", "s3": "copying"}


def test_a_copy_goes_first_where_old_data_is() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"))
    sketch.hear("s3", held=[sketch.hold(placement, "s3-2")])
    after = step_of(sketch, placement)
    assert after is not None
    assert after.members[1].disk_id == "s3-2"


def test_a_server_that_did_not_answer_its_leader_is_not_taken_again_at_once() -> None:
    sketch = Sketch(servers=2)
    placement = sketch.place("h", copy_on("s1/1"))
    sketch.sightings.pause(placement.id, "s2", sketch.now + 5)
    assert step_of(sketch, placement) is None
    sketch.silence(seconds=5)
    after = step_of(sketch, placement)
    assert after is not None
    assert states(after) == {"s1": "in_sync", "s2": "copying"}


def test_no_copy_is_added_under_a_leader_that_cannot_give_its_data() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"))
    sketch.silence("s1", seconds=60)
    assert step_of(sketch, placement) is None


def test_copies_of_one_host_never_share_a_server() -> None:
    sketch = Sketch(servers=1, disks=3)
    assert step_of(sketch, sketch.place("h", copy_on("s1/1"))) is None


def test_a_disk_that_is_emptied_gets_its_copy_elsewhere_before_it_is_given_up() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.mark("s2-1", "draining")
    third = step_of(sketch, placement)
    assert third is not None
    assert states(third) == {"s1": "in_sync", "s2": "in_sync", "s3": "copying"}
    complete = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1"))
    after = step_of(sketch, complete)
    assert after is not None
    assert states(after) == {"s1": "in_sync", "s3": "in_sync"}


def test_a_disk_that_says_it_fails_is_emptied_in_the_same_way() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    before = sketch.view().signature()
    disks = sketch.sightings.servers["s2"].disks
    assert disks is not None
    disks["s2-1"] = msgspec.structs.replace(disks["s2-1"], failing=True)
    assert sketch.view().signature() != before, "it is looked at"
    third = step_of(sketch, placement)
    assert third is not None
    assert states(third) == {"s1": "in_sync", "s2": "in_sync", "s3": "copying"}
    disks["s2-1"] = msgspec.structs.replace(disks["s2-1"], health="bad")
    after = step_of(sketch, placement)
    assert after is not None
    assert states(after) == {"s1": "in_sync"}


def test_a_leader_whose_disk_is_emptied_hands_over() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1"))
    sketch.mark("s1-1", "draining")
    after = step_of(sketch, placement)
    assert after is not None
    assert after.leader != "s1"
    assert len(after.in_sync()) == 1


def test_of_three_in_sync_the_one_on_the_fullest_disk_goes() -> None:
    sketch = Sketch()
    sketch.free["s2-1"] = 1 << 38
    sketch.silence(seconds=1)
    after = step_of(sketch, sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1")))
    assert after is not None
    assert states(after) == {"s1": "in_sync", "s3": "in_sync"}


def test_two_hosts_do_not_take_one_slot_in_the_same_moment() -> None:
    sketch = Sketch(servers=2, disks=1)
    one = sketch.place("one", copy_on("s1/1"), policy="exclusive")
    other = sketch.place("other", copy_on("s1/1"), policy="exclusive")
    changes = decide_placements(sketch.view(), [one, other])
    assert [each.placement.host for each in changes] == ["one"]
    assert changes[0].placement.members[1].slot == "secondary"


def test_nothing_is_decided_about_servers_that_a_new_mapper_has_not_heard_of() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.sightings.servers.clear()
    sketch.sightings.since = sketch.now
    assert step_of(sketch, placement) is None
    assert decide_servers(sketch.view()) == []


def test_servers_die_and_come_back() -> None:
    sketch = Sketch()
    sketch.silence("s2", seconds=7)
    (died,) = decide_servers(sketch.view())
    assert isinstance(died, ServerChange)
    assert (died.server.id, died.server.alive) == ("s2", False)
    sketch.model.servers["s2"] = died.server
    sketch.hear("s2")
    (back,) = decide_servers(sketch.view())
    assert isinstance(back, ServerChange)
    assert back.server.alive


def test_a_disk_that_was_put_into_another_server_is_a_copy_there() -> None:
    sketch = Sketch(servers=2)
    placement = sketch.place("h", copy_on("s1/1"))
    sketch.disks["s1"].remove("s1-1")
    sketch.disks["s2"].append("s1-1")
    sketch.silence(seconds=1)
    assert step_of(sketch, placement) is None, "until the mapper has noted where it is"
    record = sketch.model.disks["s1-1"]
    sketch.model.disks["s1-1"] = type(record)("s1-1", "s2", "data_9")
    after = step_of(sketch, placement)
    assert after is not None
    assert [(each.server, each.disk, each.state) for each in after.members] == [("s2", "data_9", "in_sync")]
    assert after.leader == "s2"


def test_so_is_one_that_is_to_be_emptied() -> None:
    sketch = Sketch(servers=2)
    placement = sketch.place("h", copy_on("s1/1"))
    sketch.disks["s1"].remove("s1-1")
    sketch.disks["s2"].append("s1-1")
    record = sketch.model.disks["s1-1"]
    sketch.model.disks["s1-1"] = type(record)("s1-1", "s2", "data_9", "draining")
    sketch.silence(seconds=1)
    after = step_of(sketch, placement)
    assert after is not None
    assert (after.leader, states(after)) == ("s2", {"s2": "in_sync"})


def test_a_disk_is_not_followed_to_a_server_that_has_a_copy() -> None:
    sketch = Sketch(servers=2)
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.disks["s1"].remove("s1-1")
    sketch.disks["s2"].append("s1-1")
    sketch.model.disks["s1-1"] = type(sketch.model.disks["s1-1"])("s1-1", "s2", "data_9")
    sketch.silence(seconds=1)
    after = step_of(sketch, placement)
    assert after is not None
    assert states(after) == {"s2": "in_sync"}


def test_a_followers_disk_in_another_server_is_compared_first() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.disks["s2"].remove("s2-1")
    sketch.disks["s3"].append("s2-1")
    sketch.model.disks["s2-1"] = type(sketch.model.disks["s2-1"])("s2-1", "s3", "data_9")
    sketch.silence(seconds=1)
    after = step_of(sketch, placement)
    assert after is not None
    assert states(after) == {"s1": "in_sync", "s3": "comparing"}
    assert after.members[1].disk_id == "s2-1"


@pytest.mark.parametrize("moved", ["s1-1", "s2-1"])
@pytest.mark.parametrize("state", ["in_sync", "comparing"])
def test_of_two_disks_in_one_server_the_one_that_is_complete_is_kept(moved: str, state: MemberState) -> None:
    """Not the one that copies, also when the complete one is the one that moved."""
    sketch = Sketch(servers=4)
    placement = sketch.place("h", copy_on("s3/1"), copy_on("s1/1", "copying"), copy_on("s2/1", state))
    origin, target = ("s1", "s2") if moved == "s1-1" else ("s2", "s1")
    sketch.disks[origin].remove(moved)
    sketch.disks[target].append(moved)
    sketch.model.disks[moved] = type(sketch.model.disks[moved])(moved, target, "data_9")
    sketch.silence(seconds=1)
    after = step_of(sketch, placement)
    assert after is not None
    stays = state if moved == "s1-1" else "comparing"
    assert {each.server: (each.disk_id, each.state) for each in after.members} == {
        "s3": ("s3-1", "in_sync"),
        target: ("s2-1", stays),
    }
