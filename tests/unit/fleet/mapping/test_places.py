"""Where copies go."""

import pytest

from drystone.base.errors import ExhaustedError, NotFoundError, UnavailableError
from drystone.fleet.documents import Allocation, Bucket
from drystone.fleet.mapping.allocate import allocate, name_folder
from drystone.fleet.mapping.places import find_first_places, find_place
from drystone.testing.fleet.sketch import CAPACITY, Sketch, copy_on


def test_exclusive_slots_fill_up_and_then_there_is_no_room() -> None:
    sketch = Sketch(servers=2, disks=1)
    sketch.model.buckets["ns"] = Bucket("ns", "exclusive", "", 0.0)
    slots = []
    for number in range(2):
        placement = allocate(sketch.view(), Allocation("ns", f"h{number}"), f"p{number}").placement
        sketch.model.put_placement(placement)
        slots += [(each.disk_id, each.slot) for each in placement.members]
    assert sorted(slots) == [
        ("s1-1", "primary"), ("s1-1", "secondary"), ("s2-1", "primary"), ("s2-1", "secondary"),
    ]  # fmt: skip
    with pytest.raises(ExhaustedError, match="no spare slot"):
        allocate(sketch.view(), Allocation("ns", "h3"), "p3")


def test_copies_lie_in_different_servers() -> None:
    places = find_first_places(Sketch().view(), "shared")
    assert len({each.server for each in places}) == 2
    assert [each.slot for each in places] == ["primary", "secondary"]


def test_one_server_alone_gets_one_copy() -> None:
    sketch = Sketch(servers=2)
    sketch.silence("s2", seconds=60)
    assert [each.server for each in find_first_places(sketch.view(), "shared")] == ["s1"]


def test_without_servers_nothing_can_be_placed() -> None:
    sketch = Sketch()
    sketch.silence("s1", "s2", "s3", seconds=60)
    with pytest.raises(UnavailableError, match="no storage server"):
        find_first_places(sketch.view(), "shared")


def test_shared_disks_are_taken_by_how_full_they_are() -> None:
    sketch = Sketch(servers=2, disks=2)
    sketch.free = {"s1-1": CAPACITY // 2, "s1-2": CAPACITY // 4, "s2-1": CAPACITY // 10, "s2-2": CAPACITY // 3}
    sketch.silence(seconds=1)
    assert [each.disk_id for each in find_first_places(sketch.view(), "shared")] == ["s1-1", "s2-2"]


def test_a_full_disk_is_not_taken() -> None:
    sketch = Sketch(servers=2, disks=1)
    sketch.free = {"s1-1": CAPACITY // 50, "s2-1": CAPACITY // 50}
    sketch.silence(seconds=1)
    with pytest.raises(ExhaustedError, match="no disk has room"):
        find_first_places(sketch.view(), "shared")


def test_a_slot_with_data_of_others_is_taken_last() -> None:
    sketch = Sketch(servers=1, disks=2)
    old = sketch.place("old", copy_on("s1/1"), policy="exclusive")
    sketch.model.on_disk.clear()
    sketch.hear("s1", held=[sketch.hold(old, "s1-1")])
    found = find_place(sketch.view(), "exclusive", "primary", [], None)
    assert found is not None
    assert found.disk_id == "s1-2"


def test_a_bucket_must_be_there() -> None:
    with pytest.raises(NotFoundError, match="no bucket 'other'"):
        allocate(Sketch().view(), Allocation("other", "h"), "p")


def test_folders_are_never_used_twice() -> None:
    sketch = Sketch()
    sketch.place("web", copy_on("s1/1"))
    assert name_folder(sketch.model, "other", "db") == "db"
    assert name_folder(sketch.model, "other", "web") == "web@other"
    assert name_folder(sketch.model, "other", "") == "@other"
    sketch.model.folders["web@other"] = "removed"
    assert name_folder(sketch.model, "other", "web") == "web@other@2"


@pytest.mark.parametrize("host", ["..", ".", ".drystone", "a\0b", "a\nb", "x" * 300, "a/b", "ü" * 80])
def test_names_that_no_folder_should_have_are_replaced(host: str) -> None:
    name = name_folder(Sketch().model, "ns", host)
    assert name != host
    assert name.startswith("@")
    assert name.isprintable()
    assert len(f"{name}@{'n' * 63}@99999".encode()) < 255
    assert name == name_folder(Sketch().model, "ns", host)
