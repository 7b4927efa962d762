"""Epochs that come near their end."""

from datetime import UTC, datetime

import msgspec
import pytest

from drystone.base.errors import ExhaustedError
from drystone.fleet.documents import Placement
from drystone.fleet.mapping.balance import decide_moves
from drystone.fleet.mapping.decide import decide_placements, lead
from drystone.fleet.mapping.epochs import SHORT, SPENT, measure_leap, measure_overruling
from drystone.fleet.mapping.forgotten import recall
from drystone.fleet.mapping.model import Leftover, PlacementChange
from drystone.fleet.mapping.rebuild import rebuild
from drystone.fleet.mapping.status import fleet_status
from drystone.fleet.replica import LAST_EPOCH, make_seq
from drystone.testing.fleet.sketch import Sketch, copy_on


def draw(epoch: int) -> tuple[Sketch, Placement]:
    """A host whose leader has died."""
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), epoch=epoch)
    sketch.silence("s1", seconds=7)
    return sketch, placement


def test_version_numbers_of_the_last_epoch_have_63_bits() -> None:
    assert make_seq(LAST_EPOCH, (1 << 40) - 1) == (1 << 63) - 1


def test_no_leap_from_a_placement_that_can_be_changed_comes_to_the_end() -> None:
    steps = 1  # of remembering a host: a leap and a new leader
    assert SPENT - 1 + max(max(measure_leap(term), measure_overruling(term)) for term in range(1000)) + steps <= (
        LAST_EPOCH
    )


def test_the_last_change_is_made_and_none_after_it() -> None:
    sketch, placement = draw(SPENT - 1)
    (change,) = decide_placements(sketch.view(), [placement])
    assert change.placement.epoch == SPENT
    sketch, spent = draw(SPENT)
    assert decide_placements(sketch.view(), [spent]) == []
    with pytest.raises(ExhaustedError, match="changed no more"):
        lead(spent, spent.members[1], "an operator's order")


def test_one_that_is_spent_keeps_no_other_from_its_change() -> None:
    sketch, spent = draw(SPENT)
    other = sketch.place("other", copy_on("s1/1"), copy_on("s2/1"))
    assert [each.placement.id for each in decide_placements(sketch.view(), [spent, other])] == [other.id]


@pytest.mark.parametrize(("epoch", "moves"), [(SPENT - 1, 1), (SPENT, 0)])
def test_a_spent_placement_is_not_moved_to_an_emptier_disk(epoch: int, moves: int) -> None:
    sketch = Sketch()
    sketch.free = {"s1-1": 0, "s2-1": 0}
    for each in sketch.servers:
        sketch.hear(each)
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), epoch=epoch)
    assert len(decide_moves(sketch.view(), 1)) == moves


def test_a_rebuilding_takes_a_spent_placement_over_as_it_is() -> None:
    sketch = Sketch()
    placement = Placement("p", "ns", "h", "h", "shared", SPENT, "s1", (copy_on("s1/1"),))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    changes, _ = rebuild(sketch.view(), 1, 0.0)
    assert changes == [PlacementChange(placement, 0, "as the disks know it")]


def test_a_forgotten_host_whose_epochs_are_used_up_is_not_had_back() -> None:
    sketch = Sketch()
    placement = Placement("p", "ns", "h", "h", "shared", SPENT, "s1", (copy_on("s1/1"),))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    sketch.model.removed.add("p")
    sketch.model.leftovers["p", "s1-1"] = Leftover("p", "s1-1", 0.0)
    with pytest.raises(ExhaustedError, match="changed no more"):
        recall(sketch.view(), "ns", "h", 1000)
    sooner = msgspec.structs.replace(placement, epoch=SPENT - 1)
    sketch.hear("s1", held=[sketch.hold(sooner, "s1-1")])
    assert recall(sketch.view(), "ns", "h", 1000).placement.epoch == SPENT + 1000


@pytest.mark.parametrize(
    ("epoch", "told"), [(SHORT - 1, ""), (SHORT, f"from {SPENT} on it is changed no more"), (SPENT, "it is changed no")]
)
def test_people_are_told_well_before(epoch: int, told: str) -> None:
    sketch, _ = draw(epoch)
    short = fleet_status(sketch.view(), [], datetime.fromtimestamp(100, UTC)).short
    assert [told in each for each in short] == [True] * bool(told)
