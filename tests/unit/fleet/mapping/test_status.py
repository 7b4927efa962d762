"""The fleet's state for people."""

from collections import UserDict
from collections.abc import ValuesView
from datetime import UTC, datetime

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.rebuild import Waiting
from drystone.fleet.mapping.status import fleet_status, placement_state
from drystone.testing.fleet.sketch import Sketch, copy_on

NOW = datetime.fromtimestamp(100, UTC)


def test_what_a_second_failure_would_cost() -> None:
    sketch = Sketch()
    alone = sketch.place("alone", copy_on("s1/1"), copy_on("s2/1", "copying"))
    sketch.place("both", copy_on("s1/1"), copy_on("s2/1"))
    sketch.hear("s1", held=[sketch.hold(alone, "s1-1", objects=7)])
    risks = {each.server: each for each in fleet_status(sketch.view(), [], NOW).risks}
    assert (risks["s1"].unreadable, risks["s1"].objects, risks["s1"].size) == (("ns/alone",), 7, 700)
    assert risks["s2"].unreadable == ()


def test_the_placements_are_gone_through_once_however_many_servers_there_are() -> None:
    class Counted(UserDict[str, Placement]):
        looks = 0

        def values(self) -> ValuesView[Placement]:
            self.looks += 1
            return super().values()

    sketch = Sketch(servers=9)
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    placements = Counted(sketch.model.placements)
    sketch.model.placements = placements  # type: ignore[assignment]  # what is looked at is there
    found = {each.id: each for each in fleet_status(sketch.view(), [], NOW).servers}
    assert placements.looks == 1
    assert [(found[each].leads, found[each].copies) for each in ("s1", "s2", "s3")] == [(1, 1), (0, 1), (0, 0)]


def test_states_of_hosts() -> None:
    sketch = Sketch()
    both = sketch.place("both", copy_on("s1/1"), copy_on("s2/1"))
    one = sketch.place("one", copy_on("s1/1"), copy_on("s2/1", "copying"))
    assert placement_state(sketch.view(), both) == "protected"
    assert placement_state(sketch.view(), one) == "degraded"
    sketch.silence("s1", seconds=7)
    assert placement_state(sketch.view(), both) == "degraded"
    assert placement_state(sketch.view(), one) == "unreadable"


def test_how_old_the_newest_backup_is() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    empty = sketch.place("never", copy_on("s1/2"), copy_on("s2/2"))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    hosts = {each.host: each for each in fleet_status(sketch.view(), [], NOW).hosts}
    assert (hosts["h"].newest, hosts["h"].age) == (50.0, 50.0)
    assert hosts[empty.host].age is None


def test_disks_and_what_is_waited_for() -> None:
    sketch = Sketch(servers=2, disks=1)
    placement = sketch.place("h", copy_on("s1/1"))
    sketch.mark("s2-1", "draining")
    found = fleet_status(sketch.view(), [Waiting(placement, ("s9-1",))], NOW)
    assert [(each.disk_id, each.state, each.copies) for each in found.disks] == [
        ("s1-1", "good", 1),
        ("s2-1", "draining", 0),
    ]
    assert found.waiting == ("ns/h: disks that must be read first: s9-1",)
