"""The map out of what the disks hold."""

import itertools

import msgspec

from drystone.fleet.documents import Bucket, FleetMap, Held, Key, Placement
from drystone.fleet.mapping.epochs import measure_leap, measure_overruling
from drystone.fleet.mapping.model import BucketChange, Change, KeyChange, PlacementChange
from drystone.fleet.mapping.rebuild import (
    find_certain,
    find_newer,
    find_orphans,
    overrule,
    rebuild,
    unheard,
)
from drystone.testing.fleet.sketch import Sketch, copy_on


def lost(*members: str, epoch: int = 7, servers: int = 3) -> tuple[Sketch, Placement]:
    """A fleet whose database knows nothing of a placement."""
    sketch = Sketch(servers=servers)
    placement = Placement(
        "p", "ns", "h", "h", "shared", epoch, members[0].partition("/")[0], tuple(copy_on(each) for each in members)
    )
    return sketch, placement


def placements(changes: list[Change]) -> list[Placement]:
    return [each.placement for each in changes if isinstance(each, PlacementChange)]


def test_the_highest_epoch_counts_when_all_in_sync_in_it_were_read() -> None:
    sketch, placement = lost("s1/1", "s2/1")
    older = msgspec.structs.replace(placement, epoch=3, leader="s3", members=(copy_on("s3/1"),))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    sketch.hear("s2", held=[sketch.hold(placement, "s2-1")])
    sketch.hear("s3", held=[sketch.hold(older, "s3-1")])
    changes, waiting = rebuild(sketch.view(), 1, 0.0)
    (after,) = placements(changes)
    assert waiting == []
    assert after.epoch > placement.epoch
    assert (after.leader, after.members) == ("s1", placement.members)


def test_two_rebuildings_of_the_same_come_to_different_epochs() -> None:
    """Who learned of one of them before that database was lost too takes the other for another epoch."""
    sketch, placement = lost("s1/1", "s2/1")
    epochs = []
    for term in (70, 71, 500):
        for each in placement.members:
            sketch.hear(each.server, held=[sketch.hold(placement, each.disk_id)], term=term)
        (after,) = placements(rebuild(sketch.view(), term, 0.0)[0])
        epochs.append(after.epoch)
        assert measure_overruling(term) > max(map(measure_leap, range(1000)))
    steps = 50
    assert min(abs(one - other) for one, other in itertools.combinations(epochs, 2)) > steps


def test_a_placement_waits_for_a_member_that_was_in_sync() -> None:
    sketch, placement = lost("s1/1", "s2/1")
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    changes, waiting = rebuild(sketch.view(), 1, 0.0)
    assert changes == []
    assert [each.missing for each in waiting] == [("s2-1",)]


def test_a_copy_that_was_comparing_must_be_read_too() -> None:
    """It may have led since, as the heir of last resort."""
    sketch, placement = lost("s1/1")
    members = (copy_on("s1/1"), msgspec.structs.replace(copy_on("s2/1"), state="comparing"))
    compared = msgspec.structs.replace(placement, members=members)
    sketch.hear("s1", held=[sketch.hold(compared, "s1-1")])
    assert [each.missing for each in rebuild(sketch.view(), 1, 0.0)[1]] == [("s2-1",)]
    sketch.model.put_placement(compared)
    assert find_certain(sketch.view(), 1) == []
    sketch.hear("s2", held=[sketch.hold(compared, "s2-1")])
    assert find_certain(sketch.view(), 1) == [compared]


def test_a_copy_that_was_not_in_sync_need_not_be_read() -> None:
    sketch, placement = lost("s1/1")
    behind = msgspec.structs.replace(placement, members=(copy_on("s1/1"), copy_on("s2/1", "copying")))
    sketch.hear("s1", held=[sketch.hold(behind, "s1-1")])
    assert len(placements(rebuild(sketch.view(), 1, 0.0)[0])) == 1


def test_whom_the_leader_counts_in_must_be_read_too() -> None:
    """Two accounts of one epoch: the leader's own counts a member as in sync that the others call copying."""
    sketch, placement = lost("s1/1", "s2/1", "s3/1")
    told = msgspec.structs.replace(placement, members=(copy_on("s1/1"), copy_on("s2/1"), copy_on("s3/1", "copying")))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    sketch.hear("s2", held=[sketch.hold(told, "s2-1")])
    _, waiting = rebuild(sketch.view(), 1, 0.0)
    assert [each.missing for each in waiting] == [("s3-1",)]


def test_whom_the_leader_counts_in_must_be_read_also_where_the_database_has_that_epoch() -> None:
    """It may have been entered as in sync, have led, and have changed things, before the database was put back."""
    sketch = Sketch()
    stored = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"))
    counted = msgspec.structs.replace(stored, members=(copy_on("s1/1"), copy_on("s2/1")))
    sketch.hear("s1", held=[sketch.hold(counted, "s1-1")])
    assert find_certain(sketch.view(), 1) == []
    sketch.hear("s2", held=[sketch.hold(stored, "s2-1")])
    assert find_certain(sketch.view(), 1) == [counted]


def test_a_servers_word_counts_only_once_it_knows_our_term() -> None:
    sketch, placement = lost("s1/1")
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")], term=1)
    assert rebuild(sketch.view(), 2, 0.0)[0] == []
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")], term=2)
    assert len(placements(rebuild(sketch.view(), 2, 0.0)[0])) == 1


def test_a_disk_that_could_not_be_read_does_not_count() -> None:
    sketch, placement = lost("s1/1", "s1/2")
    beat = sketch.beat("s1", held=[sketch.hold(placement, "s1-1")])
    sketch.sightings.note(msgspec.structs.replace(beat, told=("s1-1",)), sketch.now)
    assert sketch.sightings.untold("s1", sketch.now)
    assert [each.missing for each in rebuild(sketch.view(), 1, 0.0)[1]] == [("s1-2",)]


def test_buckets_are_made_again() -> None:
    sketch, placement = lost("s1/1")
    other = msgspec.structs.replace(placement, namespace="gone", policy="exclusive")
    sketch.hear("s1", held=[sketch.hold(other, "s1-1")])
    made = [each.bucket for each in rebuild(sketch.view(), 1, 9.0)[0] if isinstance(each, BucketChange)]
    assert [(each.name, each.policy) for each in made] == [("gone", "exclusive")]


def test_ended_placements_and_those_of_other_hosts_are_left_alone() -> None:
    sketch, placement = lost("s1/1")
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    sketch.model.removed.add("p")
    assert find_newer(sketch.view()) == {}
    sketch.model.removed.clear()
    sketch.place("h", copy_on("s2/1"))
    assert find_newer(sketch.view()) == {}
    assert [each.id for each in find_orphans(sketch.view())] == ["p"]


def test_of_two_placements_of_a_host_the_one_with_the_newest_object_is_taken_over() -> None:
    """The other one had ended, of which the lost database knew."""
    sketch, placement = lost("s1/1", "s2/1")
    ended = msgspec.structs.replace(placement, id="ended", epoch=70)
    old = Held(ended, "s1-1", "primary", 9, 900, 40.0)
    for each in ("s1", "s2"):
        sketch.hear(each, held=[old, sketch.hold(placement, f"{each}-1")] if each == "s1" else [old])
    changes, _ = rebuild(sketch.view(), 1, 0.0)
    assert [each.id for each in placements(changes)] == [placement.id]
    sketch.model.put_placement(placements(changes)[0])
    assert [each.id for each in find_orphans(sketch.view())] == ["ended"]


def test_at_its_end_what_waits_is_taken_over_as_far_as_it_is_known() -> None:
    """Or nothing would end: the disks would go on to know better."""
    sketch = Sketch()
    behind = sketch.place("behind", copy_on("s1/1"), copy_on("s2/1"), epoch=5)
    doubtful = sketch.place("doubtful", copy_on("s1/1"), copy_on("s2/1"), epoch=5)
    newer = msgspec.structs.replace(behind, epoch=9, members=behind.members[:1])
    unknown = msgspec.structs.replace(behind, id="p-new", namespace="gone", host="new")
    sketch.hear("s2", held=[sketch.hold(newer, "s2-1"), sketch.hold(unknown, "s2-1")])
    changes = overrule(sketch.view(), [behind, doubtful], 1, "an operator says so", 0.0)
    after = {each.placement.id: each for each in changes if isinstance(each, PlacementChange)}
    epochs = measure_overruling(1)
    assert {id_: (each.before, each.placement.epoch) for id_, each in after.items()} == {
        behind.id: (5, 9 + epochs),
        doubtful.id: (5, 5 + epochs),
        "p-new": (0, 5 + epochs),
    }
    assert after[behind.id].placement.members == newer.members
    assert [each.bucket.name for each in changes if isinstance(each, BucketChange)] == ["gone"]


def test_a_bucket_that_a_server_knew_is_not_made_again_for_its_placement() -> None:
    sketch, placement = lost("s1/1")
    gone = msgspec.structs.replace(placement, namespace="gone")
    known = FleetMap("fleet", 1, 1, buckets=(Bucket("gone", "shared", "owner", 0.0),))
    beat = sketch.beat("s1", held=[sketch.hold(gone, "s1-1")])
    sketch.sightings.note(msgspec.structs.replace(beat, known=known), sketch.now)
    changes, _ = rebuild(sketch.view(), 1, 0.0)
    assert [each.bucket.owner for each in changes if isinstance(each, BucketChange)] == ["owner"]


def test_while_rebuilding_only_what_nobody_knows_better_is_decided_about() -> None:
    sketch = Sketch()
    known = sketch.place("known", copy_on("s1/1"), copy_on("s2/1"), epoch=5)
    unread = sketch.place("unread", copy_on("s1/1"), copy_on("s3/1"), epoch=5)
    behind = sketch.place("behind", copy_on("s1/2"), copy_on("s2/2"), epoch=5)
    newer = msgspec.structs.replace(behind, epoch=9)
    sketch.hear("s1", held=[sketch.hold(known, "s1-1"), sketch.hold(unread, "s1-1")])
    sketch.hear("s2", held=[sketch.hold(known, "s2-1"), sketch.hold(newer, "s2-2")])
    assert find_certain(sketch.view(), 1) == [known]


def test_all_servers_that_anybody_knows_of_must_be_heard() -> None:
    sketch, placement = lost("s1/1", "s9/1")
    assert unheard(sketch.view(), 1) == {"s1", "s2", "s3"}
    for each in sketch.servers:
        sketch.hear(each, held=[sketch.hold(placement, "s1-1")] if each == "s1" else [])
    assert unheard(sketch.view(), 1) == {"s9"}


def test_buckets_and_keys_come_back_from_the_newest_account() -> None:
    sketch = Sketch()
    key = Key("AK", "secret of it", {"*": "admin"})
    for server, version, buckets in (("s1", 7, ("new",)), ("s2", 5, ("new", "deleted since"))):
        known = FleetMap(
            "fleet", 1, version, buckets=tuple(Bucket(each, "shared", "", 0.0) for each in buckets), keys=(key,)
        )
        sketch.sightings.note(msgspec.structs.replace(sketch.beat(server, held=[]), known=known), sketch.now)
    changes, _ = rebuild(sketch.view(), 1, 0.0)
    assert [each.bucket.name for each in changes if isinstance(each, BucketChange)] == ["new"]
    assert [each.key for each in changes if isinstance(each, KeyChange)] == [key]
