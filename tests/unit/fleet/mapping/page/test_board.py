"""What the page shows."""

from datetime import UTC, datetime

from drystone.fleet.mapping.database import AuditEntry
from drystone.fleet.mapping.endings import end
from drystone.fleet.mapping.epochs import SHORT
from drystone.fleet.mapping.leftovers import with_leftovers
from drystone.fleet.mapping.model import DrillRecord
from drystone.fleet.mapping.page.board import Board, judge, make_board, note_copies
from drystone.fleet.mapping.page.pace import Pace
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.status import fleet_status
from drystone.testing.fleet.sketch import Sketch, copy_on

NOW = datetime.fromtimestamp(100, UTC)


def draw(sketch: Sketch, pace: Pace | None = None) -> Board:
    view = sketch.view()
    audit = [AuditEntry(99.0, 3, "disk", "s1-1", "seen first")]
    return make_board(view, fleet_status(view, [], NOW), pace or Pace(), audit, term=3, at=100.0)


def test_hosts_in_trouble_come_first_and_then_the_oldest() -> None:
    sketch = Sketch()
    fresh = sketch.place("fresh", copy_on("s1/1"), copy_on("s2/1"))
    sketch.place("never", copy_on("s1/1"), copy_on("s2/1"))
    sketch.place("degraded", copy_on("s1/2"), copy_on("s2/1", "copying"))
    sketch.place("gone", copy_on("s3/1"))
    sketch.hear("s1", held=[sketch.hold(fresh, "s1-1")])
    sketch.silence("s3", seconds=7)
    board = draw(sketch)
    assert [each.status.host for each in board.hosts] == ["gone", "degraded", "never", "fresh"]
    assert (board.level, board.summary) == (
        "bad",
        "1 host cannot be read; 1 host with too few good copies; 1 server dead.",
    )


def test_the_leaders_copy_is_drawn_first_with_what_it_holds() -> None:
    sketch = Sketch()
    placement = sketch.place("h", copy_on("s2/1"), copy_on("s1/2", "copying"))
    sketch.mark("s1-2", "draining")
    sketch.hear("s2", held=[sketch.hold(placement, "s2-1", objects=7)])
    leader, other = draw(sketch).hosts[0].copies
    assert (leader.server, leader.disk, leader.leads, leader.state, leader.objects, leader.size) == (
        *("s2", "data_1", True, "in_sync"),
        *(7, 700),
    )
    assert (other.leads, other.state, other.disk_state, other.serves, other.size) == (
        *(False, "copying", "draining"),
        *(True, None),
    )


def test_a_copy_under_way_has_its_time_left() -> None:
    sketch, pace = Sketch(), Pace()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1", objects=100)])
    sketch.hear("s2", held=[sketch.hold(placement, "s2-1", objects=20)])
    note_copies(sketch.view(), pace)
    job = draw(sketch, pace).jobs[0]
    assert (job.source, job.target, job.size, job.left, job.seconds) == ("s1/data_1", "s2/data_1", 10_000, 8000, None)
    sketch.silence(seconds=30)
    sketch.hear("s2", held=[sketch.hold(placement, "s2-1", objects=50)])
    note_copies(sketch.view(), pace)
    board = draw(sketch, pace)
    assert (board.jobs[0].left, board.jobs[0].seconds) == (5000, 50.0)
    assert (board.risks[0].server, board.risks[0].hosts, board.risks[0].seconds) == ("s1", ("ns/h",), 50.0)
    assert board.degraded == 100


def test_how_long_a_risk_lasts_is_known_when_every_host_has_a_copy_under_way() -> None:
    sketch, pace = Sketch(), Pace()
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"))
    sketch.place("alone", copy_on("s1/2"))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1", objects=100)])
    for second in (0, 30):
        sketch.silence(seconds=second)
        sketch.hear("s2", held=[sketch.hold(placement, "s2-1", objects=second)])
        note_copies(sketch.view(), pace)
    risk = draw(sketch, pace).risks[0]
    assert (risk.hosts, risk.seconds) == (("ns/alone", "ns/h"), None)


def test_a_third_copy_that_is_made_for_balance_is_a_job_of_its_own() -> None:
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying"), copy_on("s3/1", "copying"))
    assert [each.target for each in draw(sketch).jobs] == ["s2/data_1", "s3/data_1"]


def test_hosts_that_have_few_epochs_left_are_told_of() -> None:
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), epoch=SHORT)
    board = draw(sketch)
    assert (board.level, board.summary) == ("warning", "few epochs are left of 1 host.")
    assert [each.startswith("ns/h: epoch ") for each in board.short] == [True]


def test_a_fleet_that_is_well_and_one_that_is_empty() -> None:
    sketch = Sketch()
    assert judge(fleet_status(sketch.view(), [], NOW))[0] == "good"
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    assert judge(fleet_status(sketch.view(), [], NOW)) == ("good", "All is well: 1 host with all copies.")
    nobody = Sketch(servers=0)
    assert judge(fleet_status(nobody.view(), [], NOW)) == ("warning", "No storage server was heard of yet.")


def test_bad_disks_and_a_map_that_is_rebuilt_are_told() -> None:
    sketch = Sketch()
    sketch.mark("s1-2", "bad")
    sketch.model.recovering = True
    level, summary = judge(fleet_status(sketch.view(), [], NOW))
    assert (level, summary) == ("warning", "1 disk bad; the map is being rebuilt from the disks.")


def test_a_host_whose_drill_failed_is_told_and_comes_before_those_that_are_well() -> None:
    sketch = Sketch()
    for host, passed in (("a", True), ("b", False), ("c", None)):
        placement = sketch.place(host, copy_on("s1/1"), copy_on("s2/1"))
        if passed is not None:
            sketch.model.drills[placement.id] = DrillRecord(placement.id, 40.0, passed, 3, 300, "what it read")
    board = draw(sketch)
    assert [(each.status.host, each.status.drill, each.status.drilled) for each in board.hosts] == [
        ("b", "failed", 40.0),
        ("a", "passed", 40.0),
        ("c", "never", 0.0),
    ]
    assert (board.level, board.summary) == ("warning", "the restore drill of 1 host failed.")


def test_forgotten_hosts_are_listed() -> None:
    sketch = Sketch(rules=Rules(forgotten=1000.0))
    placement = sketch.place("h", copy_on("s1/1"), copy_on("s2/1"))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    sketch.model.apply(with_leftovers(sketch.model, [end(placement, "forgotten")], 90.0), 2)
    (found,) = draw(sketch).forgotten
    assert (found.namespace, found.host, found.objects, found.size, found.until) == ("ns", "h", 3, 300, 1090.0)


def test_disks_stand_with_their_server() -> None:
    board = draw(Sketch(servers=2, disks=11))
    assert [each.status.id for each in board.servers] == ["s1", "s2"]
    assert [each.disk for each in board.servers[1].disks] == [f"data_{number}" for number in range(1, 12)]
