"""Hosts that were forgotten, and had back."""

from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError, ExistsError, NotFoundError, UnavailableError
from drystone.fleet.documents import Placement, Policy
from drystone.fleet.mapping.endings import end
from drystone.fleet.mapping.forgotten import find_forgotten, recall
from drystone.fleet.mapping.leftovers import review_leftovers, with_leftovers
from drystone.fleet.mapping.model import Leftover, LeftoverChange
from drystone.fleet.mapping.rules import Rules
from drystone.testing.fleet.sketch import Sketch, copy_on

WEEK = 604_800.0


def draw(*, policy: Policy = "shared", objects: int = 3) -> tuple[Sketch, Placement]:
    """A host that was forgotten at the time 1000.0, of which both disks hold everything; it is in epoch 5."""
    sketch = Sketch(rules=Rules(leftover=10.0, forgotten=WEEK))
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", slot="secondary"), policy=policy)
    for server, slot in (("s1", "primary"), ("s2", "secondary")):
        held = sketch.hold(
            placement, f"{server}-1", objects=objects, slot="primary" if slot == "primary" else "secondary"
        )
        sketch.hear(server, held=[held])
    sketch.model.apply(with_leftovers(sketch.model, [end(placement, "forgotten")], 1000.0), 2)
    return sketch, placement


def due(sketch: Sketch, wall: float) -> list[str]:
    changes = review_leftovers(sketch.view(), wall)
    return [each.leftover.disk_id for each in changes if isinstance(each, LeftoverChange) and each.leftover.due]


def test_what_is_left_of_it_is_deleted_after_its_own_time() -> None:
    sketch, _ = draw()
    assert due(sketch, 1000.0 + WEEK - 1) == []
    assert due(sketch, 1000.0 + WEEK) == ["s1-1", "s2-1"]


def test_it_is_listed_until_it_is_deleted() -> None:
    sketch, placement = draw()
    (found,) = find_forgotten(sketch.view())
    assert (found.placement, found.objects, found.size, found.until) == (placement, 3, 300, 1000.0 + WEEK)
    for change in review_leftovers(sketch.view(), 1000.0 + WEEK):
        sketch.model.apply([change], 3)
    assert find_forgotten(sketch.view()) == []
    with pytest.raises(NotFoundError, match="being deleted"):
        recall(sketch.view(), "ns", "h", 1000)


def test_one_that_stored_nothing_is_not_listed() -> None:
    assert find_forgotten(draw(objects=0)[0].view()) == []


def test_it_is_had_back_by_a_leader_alone_in_sync_in_an_epoch_that_nobody_knows() -> None:
    sketch, placement = draw()
    change = recall(sketch.view(), "ns", "h", 1000)
    after = change.placement
    assert (after.id, after.folder, after.leader, change.before) == (placement.id, placement.folder, "s1", 0)
    assert after.epoch > placement.epoch + 1000
    assert [(each.server, each.state) for each in after.members] == [("s1", "in_sync"), ("s2", "copying")]
    changes = with_leftovers(sketch.model, [change], 2000.0)
    sketch.model.apply(changes, 3)
    assert sketch.model.find("ns", "h") == after
    assert (sketch.model.removed, sketch.model.leftovers) == (set(), {})
    assert find_forgotten(sketch.view()) == []
    with pytest.raises(ExistsError):
        recall(sketch.view(), "ns", "h", 1000)


def test_another_in_sync_copy_leads_when_the_leader_is_dead_and_none_that_was_not_in_sync() -> None:
    sketch, placement = draw()
    sketch.silence("s1", seconds=7)
    assert recall(sketch.view(), "ns", "h", 1).placement.leader == "s2"
    sketch, placement = draw()
    behind = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"), epoch=6)
    sketch.hear("s1", held=[sketch.hold(behind, "s1-1")])
    sketch.hear("s2", held=[sketch.hold(placement, "s2-1")])
    sketch.model.apply(with_leftovers(sketch.model, [end(behind, "forgotten")], 1000.0), 2)
    sketch.silence("s1", seconds=7)
    with pytest.raises(UnavailableError, match="no disk serves that has ns/h whole"):
        recall(sketch.view(), "ns", "h", 1)


def test_a_slot_that_is_anothers_now_is_not_taken_from_it() -> None:
    sketch, _ = draw(policy="exclusive")
    sketch.place("new", copy_on("s1/1"), policy="exclusive")
    after = recall(sketch.view(), "ns", "h", 1).placement
    assert [each.server for each in after.members] == ["s2"]
    sketch.place("newer", copy_on("s2/1", slot="secondary"), policy="exclusive")
    with pytest.raises(ExhaustedError, match="others' now"):
        recall(sketch.view(), "ns", "h", 1)


def test_without_its_bucket_it_is_not_had_back() -> None:
    sketch, _ = draw()
    del sketch.model.buckets["ns"]
    with pytest.raises(NotFoundError, match="no bucket"):
        recall(sketch.view(), "ns", "h", 1)


def test_of_two_that_had_the_name_the_one_that_was_forgotten_last_is_had_back() -> None:
    sketch, placement = draw()
    sketch.model.removed.add("p-older")
    older = Placement("p-older", "ns", "h", "h", "shared", 9, "s3", (copy_on("s3/1"),))
    sketch.hear("s3", held=[sketch.hold(older, "s3-1")])
    sketch.model.leftovers["p-older", "s3-1"] = Leftover("p-older", "s3-1", 500.0)
    assert [each.placement.id for each in find_forgotten(sketch.view())] == ["p-h", "p-older"]
    assert recall(sketch.view(), "ns", "h", 1).placement.id == placement.id
