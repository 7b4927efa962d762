"""Placements that end."""

import msgspec

from drystone.fleet.mapping.endings import Endings
from drystone.fleet.mapping.model import PlacementRemoval
from drystone.testing.fleet.sketch import Sketch, copy_on


def drawn(objects: int) -> tuple[Sketch, Endings]:
    """A placement whose bucket is gone, on disks that have told what they hold."""
    sketch = Sketch(servers=2)
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    del sketch.model.buckets["ns"]
    for server in sketch.servers:
        sketch.hear(server, held=[sketch.hold(placement, f"{server}-1", objects=objects)])
    return sketch, Endings()


def ended(sketch: Sketch, endings: Endings, *waits: float) -> list[str]:
    found = []
    for seconds in (0.0, *waits):
        sketch.silence(seconds=seconds)
        found += [each.id for each in endings.review(sketch.view()) if isinstance(each, PlacementRemoval)]
    return found


def test_an_empty_placement_without_a_bucket_ends_after_a_while() -> None:
    assert ended(*drawn(0), 119.0) == []
    assert ended(*drawn(0), 121.0) == ["p-h"]


def test_one_that_holds_something_stays() -> None:
    assert ended(*drawn(1), 1000.0) == []


def test_one_whose_bucket_is_there_stays() -> None:
    sketch, endings = drawn(0)
    sketch.model.buckets["ns"] = Sketch().model.buckets["ns"]
    assert ended(sketch, endings, 1000.0) == []


def test_one_of_whose_disks_nothing_is_known_stays() -> None:
    sketch, endings = drawn(0)
    placement = sketch.model.placements["p-h"]
    members = (*placement.members, copy_on("s9/1"))
    sketch.model.put_placement(msgspec.structs.replace(placement, members=members))
    assert ended(sketch, endings, 1000.0) == []


def test_the_time_begins_anew_when_something_was_put() -> None:
    sketch, endings = drawn(0)
    assert ended(sketch, endings, 100.0) == []
    sketch.hear("s1", held=[sketch.hold(sketch.model.placements["p-h"], "s1-1", objects=1)])
    assert ended(sketch, endings) == []
    sketch.hear("s1", held=[])
    assert ended(sketch, endings, 100.0) == []
