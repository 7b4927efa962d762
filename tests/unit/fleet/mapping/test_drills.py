"""Which hosts are drilled when, and what becomes of the results."""

from __future__ import annotations

import itertools

from drystone.fleet.documents import DrillResult, Placement
from drystone.fleet.mapping.audit import describe
from drystone.fleet.mapping.drills import Drills, due_at, spell_result
from drystone.fleet.mapping.model import DrillRecord
from drystone.fleet.mapping.rules import Rules
from drystone.testing.fleet.sketch import Sketch, copy_on

DAY = 86_400.0
NOW = 10 * DAY


def draw(*hosts: str, drill: float = DAY) -> Sketch:
    """Hosts led by s1, with objects; each was last drilled, with success, an hour after the one before."""
    sketch = Sketch(rules=Rules(drill=drill))
    placements = [sketch.place(each, copy_on("s1/1"), copy_on("s2/1")) for each in hosts]
    sketch.hear("s1", held=[sketch.hold(each, "s1-1") for each in placements])
    for number, each in enumerate(placements):
        note(sketch, each, NOW - 2 * DAY + number * 3600)
    return sketch


def note(sketch: Sketch, placement: Placement, at: float, *, passed: bool = True) -> None:
    sketch.model.drills[placement.id] = DrillRecord(placement.id, at, passed, 1, 1, "")


def make() -> Drills:
    numbers = itertools.count(1)
    return Drills(lambda: f"drill-{next(numbers)}")


def asked(drills: Drills, sketch: Sketch, wall: float = NOW, server: str = "s1") -> list[str]:
    """The placements that a server is asked to drill then."""
    drills.review(sketch.view(), wall)
    return [each.placement for each in drills.asked_of(server)]


def test_the_one_that_waited_longest_is_drilled_by_its_leader_one_at_a_time() -> None:
    sketch, drills = draw("first", "second"), make()
    assert asked(drills, sketch) == ["p-first"]
    assert asked(drills, sketch) == ["p-first"], "until its result is known"
    assert drills.asked_of("s2") == ()
    (drill,) = drills.asked_of("s1")
    assert (drill.objects, drill.size) == (10, 10 << 30)
    for change in drills.take(sketch.view(), DrillResult(drill.id, "p-first", 3, 600, ("s1/data_1", "s2/data_1")), NOW):
        sketch.model.apply([change], 2)
        assert describe(change) == (
            "drill",
            "ns/first",
            "passed: 3 objects, 600 B, read back whole from s1/data_1 and s2/data_1",
        )
    assert asked(drills, sketch) == ["p-second"]


def test_each_host_has_its_time_and_a_new_one_is_drilled_as_soon_as_it_has_objects() -> None:
    sketch, drills = draw("h"), make()
    placement = sketch.model.placements["p-h"]
    note(sketch, placement, NOW - DAY + 1)
    assert asked(drills, sketch) == []
    assert asked(drills, sketch, NOW + 1) == ["p-h"]
    new = sketch.place("new", copy_on("s3/1"), copy_on("s2/2"))
    assert asked(drills, sketch, server="s3") == []
    sketch.hear("s3", held=[sketch.hold(new, "s3-1")])
    assert asked(drills, sketch, server="s3") == ["p-new"]


def test_never_is_never_but_for_an_order() -> None:
    sketch, drills = draw("h", "other", drill=0.0), make()
    assert asked(drills, sketch) == []
    drills.order("p-other")
    drills.order("p-unknown")
    assert asked(drills, sketch) == ["p-other"]


def test_what_is_ordered_comes_first() -> None:
    sketch, drills = draw("first", "second", "third"), make()
    drills.order("p-third")
    assert asked(drills, sketch) == ["p-third"]


def test_a_host_without_all_its_copies_waits() -> None:
    sketch, drills = draw("h"), make()
    sketch.silence("s2", seconds=7)
    assert asked(drills, sketch) == []
    sketch.hear("s2")
    assert asked(drills, sketch) == ["p-h"]


def test_a_drill_that_takes_too_long_or_whose_leader_is_another_is_given_up() -> None:
    sketch, drills = draw("h"), make()
    assert asked(drills, sketch) == ["p-h"]
    before = drills.asked_of("s1")
    sketch.silence(seconds=6 * 3600 + 1)
    sketch.hear("s1")
    assert asked(drills, sketch) == ["p-h"]
    assert drills.asked_of("s1") != before
    sketch.place("h", copy_on("s2/1"), copy_on("s1/1"), epoch=6)
    assert asked(drills, sketch) == []
    assert asked(drills, sketch, server="s2") == ["p-h"]


def test_one_that_could_not_be_made_is_asked_for_again_after_a_while() -> None:
    sketch, drills = draw("h"), make()
    asked(drills, sketch)
    (drill,) = drills.asked_of("s1")
    assert drills.take(sketch.view(), DrillResult(drill.id, "p-h", reason="s2 does not answer"), NOW) == []
    assert asked(drills, sketch) == []
    sketch.silence(seconds=61)
    assert asked(drills, sketch) == ["p-h"]


def test_one_that_failed_is_made_again_within_the_hour() -> None:
    sketch, drills = draw("h"), make()
    asked(drills, sketch)
    (drill,) = drills.asked_of("s1")
    result = DrillResult(drill.id, "p-h", 2, 200, ("s1/data_1", "s2/data_1"), ("s2/data_1: 'h/x' is not there",))
    (change,) = drills.take(sketch.view(), result, NOW)
    sketch.model.apply([change], 2)
    assert describe(change) == ("drill", "ns/h", "FAILED: 2 objects, 200 B: s2/data_1: 'h/x' is not there")
    assert due_at(sketch.view(), sketch.model.placements["p-h"]) == NOW + 3600


def test_a_result_counts_whoever_asked_for_it_and_that_of_a_host_that_ended_does_not() -> None:
    sketch, drills = draw("h"), make()
    assert len(drills.take(sketch.view(), DrillResult("of-an-earlier-mapper", "p-h", 1, 1), NOW)) == 1
    assert drills.take(sketch.view(), DrillResult("x", "p-gone", 1, 1), NOW) == []


def test_many_findings_are_counted() -> None:
    text = spell_result(DrillResult("d", "p", 1, 1024, (), tuple(f"finding {number}" for number in range(8))))
    assert text == "1 object, 1.0 KiB: finding 0; finding 1; finding 2; finding 3; finding 4; and 3 more"
