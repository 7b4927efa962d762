"""The fleet as Prometheus text."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from drystone.fleet.mapping.model import DrillRecord
from drystone.fleet.mapping.page.board import make_board
from drystone.fleet.mapping.page.metrics import render
from drystone.fleet.mapping.page.pace import Pace
from drystone.fleet.mapping.status import fleet_status
from drystone.testing.fleet.sketch import Sketch, copy_on

NOW = datetime.fromtimestamp(100, UTC)


def read(text: bytes) -> dict[str, float]:
    """`name{label=value}` to the number."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def draw(sketch: Sketch) -> dict[str, float]:
    view = sketch.view()
    return read(render(7, make_board(view, fleet_status(view, [], NOW), Pace(), [], term=7, at=100.0)))


def test_the_numbers_of_a_fleet() -> None:
    sketch = Sketch(servers=3, disks=2)
    placement = sketch.place('a"b\n', copy_on("s1/1"), copy_on("s2/1", "copying"), epoch=9)
    sketch.place("both", copy_on("s1/1"), copy_on("s2/1"))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1", objects=100)])
    sketch.hear("s2", held=[sketch.hold(placement, "s2-1", objects=20)])
    sketch.silence("s3", seconds=7)
    found = draw(sketch)
    expected = {
        "drystone_mapper_leads": 1,
        "drystone_mapper_term": 7,
        "drystone_fleet_servers state=alive": 2,
        "drystone_fleet_servers state=dead": 1,
        "drystone_fleet_disks health=good": 4,
        "drystone_fleet_disks health=away": 2,
        "drystone_fleet_placements state=protected": 1,
        "drystone_fleet_placements state=degraded": 1,
        "drystone_fleet_placements state=unreadable": 0,
        "drystone_fleet_copies state=copying": 1,
        "drystone_fleet_copies state=in_sync": 3,
        "drystone_fleet_highest_epoch": 9,
        "drystone_fleet_last_epoch": (1 << 23) - 1,
        "drystone_fleet_short_placements": 0,
        "drystone_fleet_degraded_objects": 100,
        "drystone_fleet_oldest_freshness_seconds": 50,
        'drystone_fleet_host_newest_timestamp_seconds host=a"b\n namespace=ns': 50,
        "drystone_fleet_copy_bytes_left": 8000,
        "drystone_fleet_copies_under_way": 1,
        "drystone_fleet_risk_hosts server=s1": 1,
        "drystone_fleet_risk_bytes server=s1": 10_000,
        "drystone_fleet_disk_free_bytes disk=data_1 server=s1": 1 << 40,
        "drystone_fleet_server_silent_seconds server=s3": 7,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_drills_and_forgotten_hosts() -> None:
    sketch = Sketch()
    for host, passed in (("a", True), ("b", False), ("c", None)):
        placement = sketch.place(host, copy_on("s1/1"), copy_on("s2/1"))
        if passed is not None:
            sketch.model.drills[placement.id] = DrillRecord(placement.id, 40.0, passed, 3, 300, "")
    found = draw(sketch)
    for result in ("passed", "failed", "never"):
        assert found[f"drystone_fleet_drills result={result}"] == 1
    stamps = {name: value for name, value in found.items() if "drill_timestamp" in name}
    assert stamps == {
        "drystone_fleet_host_drill_timestamp_seconds host=a namespace=ns result=passed": 40,
        "drystone_fleet_host_drill_timestamp_seconds host=b namespace=ns result=failed": 40,
    }
    assert found["drystone_fleet_forgotten_hosts"] == 0


def test_what_is_not_known_is_left_out() -> None:
    sketch = Sketch()
    sketch.place("never", copy_on("s1/1"), copy_on("s2/1"))
    assert not [each for each in draw(sketch) if "freshness" in each or "newest" in each]


def test_a_mapper_that_does_not_lead_says_only_that() -> None:
    assert read(render(0, None)) == {"drystone_mapper_leads": 0, "drystone_mapper_term": 0}
