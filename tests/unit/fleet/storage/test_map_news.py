"""What is new of the map, applied: a server ends with what the whole map says, or asks on."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from drystone.fleet.documents import Bucket, FleetMap, Key, Placement, Server
from drystone.fleet.mapping.chart import draw_map
from drystone.fleet.mapping.history import History
from drystone.fleet.mapping.model import BucketChange, Change, KeyChange, Model, PlacementChange, PlacementRemoval
from drystone.fleet.storage.atlas import Atlas


def placement(epoch: int, id_: str = "p1", host: str = "") -> Placement:
    host = host or f"host-of-{id_}"
    return Placement(id_, "ns", host, host, "shared", epoch, "s1", ())


def whole(version: int = 5, *, edition: str = "e1", term: int = 2, recovering: bool = False) -> FleetMap:
    return FleetMap(
        "f", term, version, (Server("s1", "http://h:1"),), (placement(1), placement(1, "p2")),
        (Bucket("ns", "shared", "o", 0.0), Bucket("old", "shared", "o", 0.0)), (Key("k", "s", {}),),
        recovering=recovering, edition=edition,
    )  # fmt: skip


def news(version: int = 7, since: int = 5, *, edition: str = "e1", term: int = 2) -> FleetMap:
    return FleetMap(
        "f", term, version, (Server("s2", "http://h:2"),), (placement(4), placement(1, "p3")),
        (Bucket("new", "shared", "o", 0.0),), (), (("p9", "d9"),), edition=edition, since=since,
        gone_placements=("p2",), gone_buckets=("old",), gone_keys=("k",),
    )  # fmt: skip


def describe(atlas: Atlas) -> tuple[object, ...]:
    """All that can be asked of it."""
    placements = {each.id: each for each in atlas.placements()}
    found = {each.id: atlas.find(each.namespace, each.host) for each in placements.values()}
    return placements, found, atlas.buckets, atlas.keys, atlas.servers, atlas.leftovers, atlas.version, atlas.term


def test_what_changed_is_taken_and_the_rest_stays(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    assert atlas.learn(whole())
    assert atlas.learn(news())
    assert (atlas.version, set(atlas.buckets), set(atlas.keys), set(atlas.servers)) == (7, {"ns", "new"}, set(), {"s2"})
    assert atlas.find("ns", "host-of-p1") == placement(4)
    assert atlas.find("ns", "host-of-p2") is None
    assert atlas.placement("p3") is not None
    assert atlas.leftovers == {("p9", "d9")}


def test_it_is_there_after_a_start_with_all_that_was_known_before(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    atlas.learn(news())
    atlas.keep()
    again = Atlas(tmp_path)
    again.load()
    assert describe(again) == describe(atlas)
    assert again.learn(news(8, 7)), "of the same edition still"
    account = again.account()
    assert account is not None
    assert {each.name for each in account.buckets} == {"ns", "new"}


@pytest.mark.parametrize(
    "wrong",
    [news(edition="e2"), news(since=6), news(5), news(4, 3), news(term=1)],
    ids=["another edition", "of a version that we have not", "not newer", "older", "an older term"],
)
def test_what_is_no_news_to_our_map_is_not_taken(wrong: FleetMap, tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    before = describe(atlas)
    assert not atlas.learn(wrong)
    assert describe(atlas) == before
    assert not Atlas(tmp_path / "new").learn(news()), "nor by one that has no map"


def test_news_that_begin_before_our_version_are_taken(tmp_path: Path) -> None:
    """Two answers crossed: the one that was asked for earlier comes later, and has more."""
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    atlas.learn(news(6))
    assert atlas.learn(news(9, 5))
    assert atlas.version == 9


def test_a_placement_that_is_known_in_a_newer_epoch_stays_so(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    atlas.learn_placement(placement(9))
    atlas.learn(news())
    assert atlas.placement("p1") == placement(9)


def test_what_others_told_of_a_placement_that_has_ended_is_dropped_by_the_next_news(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    atlas.learn(news())
    atlas.learn_placement(placement(1, "p2"))
    atlas.learn(news(8, 7))
    assert atlas.placement("p2") is None


def test_a_host_that_was_placed_anew_is_found_by_its_new_placement(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    anew = placement(1, "p7", "host-of-p2")
    atlas.learn(msgspec.structs.replace(news(), placements=(anew,)))
    assert atlas.find("ns", "host-of-p2") == anew


def test_news_of_a_higher_term_are_durable_before_they_are_gone_by(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    assert atlas.prepare(news(term=3))
    again = Atlas(tmp_path)
    again.load()
    assert (again.term, again.version) == (3, 5)
    assert again.learn(news(8, 5, term=3))


def test_while_the_map_is_rebuilt_only_whole_maps_are_taken(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path)
    atlas.learn(whole())
    atlas.learn(news())
    rebuilt = FleetMap("f", 3, 1, recovering=True, edition="e3")
    assert atlas.learn(rebuilt)
    assert not atlas.learn(news(2, 1, edition="e3", term=3))
    assert set(atlas.buckets) == {"ns", "new"}, "what was known stays"
    again = Atlas(tmp_path)
    again.load()
    account = again.account()
    assert account is not None
    assert {each.name for each in account.buckets} == {"ns", "new"}
    assert again.find("ns", "host-of-p1") == placement(4)
    assert atlas.learn(whole(2, edition="e4", term=3))
    assert set(atlas.buckets) == {"ns", "old"}


@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_is_told_news_knows_what_one_knows_that_is_told_all(seed: int, tmp_path: Path) -> None:
    """Also over a database that is put back, by which another edition has the same versions."""
    rng = random.Random(seed)
    model, term = Model("f", 1), 1
    history = History(1)
    atlas = Atlas(tmp_path / "a")
    told = 0
    for number in range(80):
        if rng.random() < 0.05:  # an older database, a mapper that reads it and does not know
            model = Model("f", max(1, model.version - rng.randrange(3)))
            history = History(model.version)
            term += 1
        changes: list[Change] = []
        for each in range(rng.randrange(1, 4)):
            changes.append(make_change(rng, model, f"{number}.{each}"))
            model.apply(changes[-1:], model.version)
        model.version += 1
        history.note(changes, model.version)
        if rng.random() < 0.5:
            continue
        news_ = draw_map(model, history, term, edition=atlas.edition, version=atlas.version)
        told += bool(news_.since)
        assert atlas.learn(news_)
        if rng.random() < 0.2:
            atlas.keep()
            atlas = Atlas(tmp_path / "a")
            atlas.load()
        other = Atlas(tmp_path / f"b{number}")
        other.learn(draw_map(model, history, term))
        assert describe(atlas) == describe(other)
    assert told > 5


def make_change(rng: random.Random, model: Model, name: str) -> Change:
    known = list(model.placements.values())
    match rng.randrange(5):
        case 0 if known:
            ended = rng.choice(known)
            return PlacementRemoval(ended.id, ended.folder, ended.epoch, "")
        case 1 if known:
            before = rng.choice(known)
            return PlacementChange(msgspec.structs.replace(before, epoch=before.epoch + 1), before.epoch, "")
        case 2:
            return BucketChange(Bucket(f"b{rng.randrange(3)}", "shared", "", rng.random()), "", gone=rng.random() < 0.3)
        case 3:
            return KeyChange(Key(f"k{rng.randrange(3)}", str(rng.random()), {}), "", gone=rng.random() < 0.3)
        case _:
            return PlacementChange(placement(1, f"p{name}"), 0, "")
