"""The map that a server knows: only newer ones are taken, and it is there after a start."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import UsageError
from drystone.fleet.documents import Bucket, FleetMap, Key, Placement, Server
from drystone.fleet.storage.atlas import Atlas, host_of


def placement(epoch: int, host: str = "web", id_: str = "p1", leader: str = "s1") -> Placement:
    return Placement(id_, "ns", host, host, "shared", epoch, leader, ())


def fleet_map(term: int, version: int, *placements: Placement, fleet: str = "f") -> FleetMap:
    return FleetMap(
        fleet,
        term,
        version,
        (Server("s1", "http://h:1"),),
        placements,
        (Bucket("ns", "shared", "o", 0.0),),
        (Key("k", "s", {}),),
        (("p9", "d9"),),
    )


@pytest.mark.parametrize(
    ("key", "host"), [("web/a", "web"), ("web/", "web"), ("loose", ""), ("/a", ""), ("a/b/c", "a"), ("", "")]
)
def test_the_host_is_what_comes_before_the_first_slash(key: str, host: str) -> None:
    assert host_of(key) == host


def test_a_map_is_there_after_a_start(tmp_path: Path) -> None:
    assert Atlas(tmp_path / "state").learn(fleet_map(2, 7, placement(3)))
    atlas = Atlas(tmp_path / "state")
    atlas.load()
    assert (atlas.fleet, atlas.term, atlas.version) == ("f", 2, 7)
    assert atlas.find("ns", "web") == placement(3)
    assert atlas.url_of("s1") == "http://h:1"
    assert atlas.url_of("s2") == ""
    assert set(atlas.keys) == {"k"}
    assert set(atlas.buckets) == {"ns"}
    assert ("p9", "d9") in atlas.leftovers
    assert (tmp_path / "state" / "map.json").stat().st_mode & 0o777 == 0o600


def test_what_is_only_newer_is_kept_later(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(fleet_map(2, 7))
    atlas.learn(fleet_map(2, 8))
    known = Atlas(tmp_path)
    known.load()
    assert known.version == 7
    atlas.keep()
    atlas.learn(fleet_map(3, 1))
    known.load()
    assert (known.term, known.version) == (3, 1)


def test_older_maps_and_those_of_another_fleet_are_passed_over(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    assert atlas.learn(fleet_map(2, 7))
    for late in (fleet_map(2, 7), fleet_map(2, 6), fleet_map(1, 99), fleet_map(3, 8, fleet="other")):
        assert not atlas.learn(late)
    assert atlas.learn(fleet_map(3, 1))
    assert atlas.term == 3


def test_a_placement_that_is_known_newer_than_the_map_stays(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(fleet_map(1, 1, placement(1)))
    assert atlas.learn_placement(placement(5, leader="s2"))
    assert not atlas.learn_placement(placement(4))
    atlas.learn(fleet_map(1, 2, placement(3)))
    assert atlas.find("ns", "web") == placement(5, leader="s2")
    assert atlas.learn(fleet_map(1, 3))
    assert atlas.find("ns", "web") is None


def test_what_was_decided_in_a_database_that_was_lost_gives_way_to_the_map_of_a_higher_term(tmp_path: Path) -> None:
    """Else who holds no copy would pass it on for ever to those that do, above what they go by."""
    atlas = Atlas(tmp_path / "state")
    atlas.learn(fleet_map(1, 1, placement(6548)))
    recovering = msgspec.structs.replace(fleet_map(3, 1, placement(4052)), recovering=True)
    atlas.learn(recovering)
    assert atlas.find("ns", "web") == placement(6548), "it is not certain yet"
    atlas.learn(fleet_map(3, 2, placement(4052)))
    assert atlas.find("ns", "web") == placement(4052)
    atlas.learn_placement(placement(4054))
    atlas.learn(fleet_map(3, 3, placement(4053)))
    assert atlas.find("ns", "web") == placement(4054), "the map was on its way when it was learned"


def test_a_file_that_is_no_map_is_told(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{")
    with pytest.raises(UsageError, match=r"map\.json"):
        Atlas(tmp_path).load()


def test_placements_come_in_the_order_of_their_hosts(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    hosts = ("b", "", "é", "a", "a.b")
    atlas.learn(fleet_map(1, 1, *(placement(1, host, f"p-{host}") for host in hosts)))
    assert [each.host for each in atlas.of_namespace("ns")] == ["", "a", "a.b", "b", "é"]
    assert atlas.of_namespace("other") == ()


def test_a_map_that_is_rebuilt_takes_nothing_away(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(fleet_map(1, 9, placement(3)))
    rebuilt = FleetMap("f", 2, 1, placements=(placement(4, "db", "p2"),), keys=(Key("new", "s", {}),), recovering=True)
    for known in (atlas, Atlas(tmp_path)):
        if known is atlas:
            assert atlas.learn(rebuilt)
        else:
            known.load()
        assert known.recovering
        assert set(known.keys) == {"k", "new"}
        assert set(known.buckets) == {"ns"}
        assert {each.id for each in known.placements()} == {"p1", "p2"}
        account = known.account()
        assert account is not None
        assert (account.version, account.placements, account.keys) == (9, (), (Key("k", "s", {}),))
    assert atlas.learn(FleetMap("f", 2, 2, keys=(Key("new", "s", {}),)))
    assert (atlas.recovering, set(atlas.keys), tuple(atlas.placements())) == (False, {"new"}, ())
