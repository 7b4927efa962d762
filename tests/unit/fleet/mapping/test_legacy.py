"""The documents of Disk Mapper's own API."""

from drystone.fleet.mapping import legacy
from drystone.fleet.mapping.model import Leftover
from drystone.testing.fleet.sketch import Sketch, copy_on


def drawn() -> Sketch:
    """A host with a vbucket group, whose primary is on s1/data_1 and its secondary on s2/data_2."""
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), copy_on("s2/2", slot="secondary"), policy="exclusive")
    sketch.model.groups["ns", "h"] = (0, 1, 10, 2)
    return sketch


def test_an_empty_fleet_has_an_empty_configuration() -> None:
    assert legacy.all_config(Sketch().view()) == {}
    assert legacy.vb_mapping(Sketch().view()) == {}


def test_all_config() -> None:
    assert legacy.all_config(drawn().view()) == {
        "h": {
            "primary": {"disk": "data_1", "status": "good", "storage_server": "s1:8080"},
            "secondary": {"disk": "data_2", "status": "good", "storage_server": "s2:8080"},
        }
    }


def test_a_slot_whose_server_is_dead_is_bad_and_requests_go_to_the_other() -> None:
    sketch = drawn()
    sketch.silence("s1", seconds=7)
    view = sketch.view()
    assert legacy.all_config(view)["h"]["primary"]["status"] == "bad"
    assert legacy.host_config(view) == {"h": {"storage_server": "s2:8080", "disk": "data_2"}}
    sketch.silence("s1", "s2", seconds=7)
    assert legacy.serving_member(sketch.view(), sketch.model.placements["p-h"]) is None


def test_a_copy_that_was_given_up_is_shown_as_bad() -> None:
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), policy="exclusive")
    sketch.model.leftovers["p-h", "s3-2"] = Leftover("p-h", "s3-2", 1.0)
    found = legacy.all_config(sketch.view())["h"]["secondary"]
    assert found == {"disk": "data_2", "status": "bad", "storage_server": "s3:8080"}


def test_a_copy_under_way_is_copying() -> None:
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1", "copying", "secondary"))
    assert legacy.all_config(sketch.view())["h"]["secondary"]["status"] == "copying"


def test_vbuckets_are_listed_in_their_order_with_their_primary() -> None:
    mapping = legacy.vb_mapping(drawn().view())
    assert list(mapping) == ["vb_0", "vb_1", "vb_2", "vb_10"]
    assert mapping["vb_2"] == {"storage_server": "s1:8080", "disk": "data_1", "vb_group": "h", "type": "primary"}


def test_each_storage_server_has_its_vbuckets() -> None:
    mapping = legacy.ss_mapping(drawn().view())
    assert mapping["s3:8080"] == {}
    assert mapping["s2:8080"]["vb_10"] == {
        "path_name": "h", "disk": "data_2", "vb_group": "h", "type": "secondary",
    }  # fmt: skip


def test_the_usual_port_is_not_shown() -> None:
    sketch = drawn()
    record = sketch.model.servers["s1"]
    sketch.model.servers["s1"] = type(record)("s1", "http://10.0.0.1:80")
    assert legacy.address(sketch.view(), "s1") == "10.0.0.1"
    assert legacy.address(sketch.view(), "unknown") == "unknown"
