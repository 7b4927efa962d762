"""Copies move from full disks to emptier ones."""

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.balance import decide_moves
from drystone.fleet.mapping.decide import settle
from drystone.testing.fleet.sketch import CAPACITY, Sketch, copy_on


def test_even_disks_stay_as_they_are() -> None:
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    assert decide_moves(sketch.view(), 4) == []


def test_a_follower_on_a_full_disk_moves_by_a_third_member() -> None:
    sketch = Sketch()
    sketch.free["s2-1"] = CAPACITY // 5
    sketch.silence(seconds=1)
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    (change,) = decide_moves(sketch.view(), 4)
    assert [(each.server, each.state) for each in change.placement.members] == [
        ("s1", "in_sync"), ("s2", "in_sync"), ("s3", "copying"),
    ]  # fmt: skip
    done = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1"), epoch=9)
    after = settle(sketch.view(), done)
    assert after is not None
    assert [each.server for each in after.placement.members] == ["s1", "s3"]


def test_a_leader_on_a_full_disk_hands_over_first() -> None:
    sketch = Sketch()
    sketch.free["s1-1"] = CAPACITY // 5
    sketch.silence(seconds=1)
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    (change,) = decide_moves(sketch.view(), 4)
    assert change.placement.leader == "s2"


def test_so_many_at_a_time() -> None:
    sketch = Sketch()
    sketch.free["s2-1"] = CAPACITY // 5
    sketch.silence(seconds=1)
    for number in range(5):
        sketch.place(f"h{number}", copy_on("s1/1"), copy_on("s2/1"))
    assert len(decide_moves(sketch.view(), 2)) == 2
    sketch.place("h0", copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1", "copying"))
    assert len(decide_moves(sketch.view(), 2)) == 1
    assert decide_moves(sketch.view(), 0) == []


def test_a_new_server_gets_its_share_of_the_slots() -> None:
    """Two servers that are full of exclusive hosts, and one that is new: until no move makes it more even."""
    sketch = Sketch(servers=3, disks=4)
    for number in range(1, 5):
        sketch.place(
            f"a{number}", copy_on(f"s1/{number}"), copy_on(f"s2/{number}", slot="secondary"), policy="exclusive"
        )
        sketch.place(
            f"b{number}", copy_on(f"s2/{number}"), copy_on(f"s1/{number}", slot="secondary"), policy="exclusive"
        )
    for _ in range(60):
        changes = decide_moves(sketch.view(), 1)
        if not changes:
            break
        placement = changes[0].placement
        synced = tuple(
            type(each)(each.server, each.disk, each.disk_id, each.slot, "in_sync") for each in placement.members
        )
        sketch.model.put_placement(
            Placement(placement.id, "ns", placement.host, placement.host, "exclusive", 9, placement.leader, synced)
        )
        step = settle(sketch.view(), sketch.model.placements[placement.id])
        if step is not None:
            sketch.model.put_placement(step.placement)
    copies = [
        sum(len(sketch.model.on_disk.get(each, {})) for each in sketch.disks[server]) for server in sketch.servers
    ]
    assert sum(copies) == 16
    assert max(copies) - min(copies) <= 1
