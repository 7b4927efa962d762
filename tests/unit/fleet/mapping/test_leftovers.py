"""What is left over on disks, and when it may go."""

from drystone.fleet.mapping.leftovers import review_leftovers, with_leftovers
from drystone.fleet.mapping.model import Change, Leftover, LeftoverChange, PlacementChange, PlacementRemoval
from drystone.testing.fleet.sketch import Sketch, copy_on

WALL = 1_000_000.0


def leftovers(changes: list[Change]) -> list[tuple[str, bool, bool]]:
    return [
        (each.leftover.disk_id, each.leftover.due, each.gone) for each in changes if isinstance(each, LeftoverChange)
    ]


def drawn() -> Sketch:
    """A host with two copies, and data of it on a third disk."""
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    for server in sketch.servers:
        sketch.hear(server, held=[sketch.hold(placement, f"{server}-1")])
    return sketch


def test_data_that_no_copy_is_of_is_noted() -> None:
    assert leftovers(review_leftovers(drawn().view(), WALL)) == [("s3-1", False, False)]


def test_it_is_due_after_a_while() -> None:
    sketch = drawn()
    sketch.model.leftovers["p-h", "s3-1"] = Leftover("p-h", "s3-1", WALL)
    assert leftovers(review_leftovers(sketch.view(), WALL + 3599)) == []
    assert leftovers(review_leftovers(sketch.view(), WALL + 3600)) == [("s3-1", True, False)]


def test_it_is_kept_while_copies_are_missing() -> None:
    sketch = drawn()
    sketch.model.leftovers["p-h", "s3-1"] = Leftover("p-h", "s3-1", WALL, due=True)
    sketch.silence("s2", seconds=10)
    assert leftovers(review_leftovers(sketch.view(), WALL + 3600)) == [("s3-1", False, False)]


def test_it_is_forgotten_when_the_disk_has_it_no_more() -> None:
    sketch = drawn()
    sketch.model.leftovers["p-h", "s3-2"] = Leftover("p-h", "s3-2", WALL)
    sketch.model.leftovers["p-h", "s3-1"] = Leftover("p-h", "s3-1", WALL)
    assert leftovers(review_leftovers(sketch.view(), WALL + 61)) == [("s3-2", False, True)]


def test_data_of_unknown_placements_is_left_alone() -> None:
    sketch = drawn()
    sketch.model.placements.clear()
    assert review_leftovers(sketch.view(), WALL) == []


def test_a_copy_that_is_given_up_is_left_over_and_taken_again_it_is_not() -> None:
    sketch = drawn()
    before = sketch.model.placements["p-h"]
    alone = sketch.place("other", copy_on("s1/1"))
    after = type(before)("p-h", "ns", "h", "h", "shared", 6, "s1", (copy_on("s1/1"),))
    changes = with_leftovers(sketch.model, [PlacementChange(after, 5, "less")], WALL)
    assert leftovers(changes) == [("s2-1", False, False)]
    sketch.model.apply(changes, 2)
    again = type(before)("p-h", "ns", "h", "h", "shared", 7, "s1", before.members)
    assert leftovers(with_leftovers(sketch.model, [PlacementChange(again, 6, "more")], WALL)) == [("s2-1", False, True)]
    ended = with_leftovers(sketch.model, [PlacementRemoval(alone.id, "other", 5, "ended")], WALL)
    assert leftovers(ended) == [("s1-1", False, False)]
