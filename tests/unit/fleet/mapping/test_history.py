"""Servers are told what is new to them: whatever they knew of this edition, they end with the whole map."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from drystone.fleet.documents import Bucket, FleetMap, Key, Placement
from drystone.fleet.mapping.chart import draw_map
from drystone.fleet.mapping.history import History
from drystone.fleet.mapping.model import (
    BucketChange,
    Change,
    DrillChange,
    DrillRecord,
    FleetChange,
    KeyChange,
    Model,
    PlacementChange,
    PlacementRemoval,
    ServerChange,
    ServerRecord,
)
from drystone.testing.fleet.sketch import copy_on


def make_history(version: int) -> History:
    numbers = itertools.count(1)
    return History(version, lambda: f"edition-{next(numbers)}")


def place(number: int, epoch: int = 1) -> Placement:
    return Placement(f"p{number}", "ns", f"h{number}", f"h{number}", "shared", epoch, "s1", (copy_on("s1/1"),))


class Kept:
    """A model with its history."""

    def __init__(self) -> None:
        self.model = Model("fleet", 1)
        self.history = make_history(1)

    def commit(self, *changes: Change) -> None:
        version = self.model.version + 1
        self.model.apply(changes, version)
        self.history.note(changes, version)

    def tell(self, edition: str = "", version: int = 0) -> FleetMap:
        return draw_map(self.model, self.history, 7, edition=edition, version=version)


def apply(known: dict[str, dict[str, object]], news: FleetMap) -> None:
    """What a server does that goes by the documents' words."""
    tables = (
        ("placements", "id", news.placements, news.gone_placements),
        ("buckets", "name", news.buckets, news.gone_buckets),
        ("keys", "access_key", news.keys, news.gone_keys),
    )
    for name, key, entries, gone in tables:
        if not news.since:
            known[name] = {}
        for each in entries:
            known[name][getattr(each, key)] = each
        for each_gone in gone:
            known[name].pop(each_gone, None)


def test_only_what_changed_is_told_as_it_is_now() -> None:
    kept = Kept()
    kept.commit(*(PlacementChange(place(number), 0, "") for number in range(9)))
    whole = kept.tell()
    assert (whole.since, len(whole.placements), whole.version) == (0, 9, 2)
    kept.commit(PlacementChange(place(3, 2), 1, ""), ServerChange(ServerRecord("s1", "http://s1"), ""))
    kept.commit(PlacementChange(place(3, 3), 2, ""), KeyChange(Key("AK", "secret-secret", {}), ""))
    kept.commit(PlacementRemoval("p5", "h5", 1, ""), DrillChange(DrillRecord("p1", 1.0, True, 1, 1, ""), ""))
    news = kept.tell(whole.edition, 2)
    assert (news.since, news.version, news.placements, news.gone_placements) == (2, 5, (place(3, 3),), ("p5",))
    assert ([each.access_key for each in news.keys], [each.id for each in news.servers]) == (["AK"], ["s1"])
    nothing = kept.tell(whole.edition, 5)
    assert (nothing.since, nothing.placements, nothing.keys) == (5, (), ())


@pytest.mark.parametrize(("edition", "version"), [("", 2), ("edition-9", 2), ("edition-1", 0)])
def test_who_has_no_map_of_this_edition_is_told_all(edition: str, version: int) -> None:
    """As one that has a map of before the mapper read its database, or of another database with the same versions."""
    kept = Kept()
    kept.commit(PlacementChange(place(1), 0, ""))
    kept.commit(BucketChange(Bucket("b", "shared", "", 0.0), ""))
    news = kept.tell(edition, version)
    assert (news.since, len(news.placements), len(news.buckets)) == (0, 1, 1)


def test_a_map_that_is_rebuilt_is_told_whole_and_so_is_the_first_after_it() -> None:
    kept = Kept()
    kept.commit(PlacementChange(place(1), 0, ""))
    before = kept.tell().edition
    kept.commit(FleetChange("fleet", recovering=True, why=""))
    kept.commit(PlacementChange(place(2), 0, ""))
    during = kept.tell(before, 2)
    assert (during.since, len(during.placements), during.recovering) == (0, 2, True)
    assert kept.tell(during.edition, 3).since == 0
    kept.commit(FleetChange("fleet", recovering=False, why=""))
    assert kept.tell(during.edition, during.version).since == 0
    after = kept.tell()
    kept.commit(PlacementChange(place(3), 0, ""))
    assert kept.tell(after.edition, after.version).since == after.version


def test_what_is_forgotten_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drystone.fleet.mapping.history._MOST", 3)
    kept = Kept()
    for number in range(6):
        kept.commit(PlacementChange(place(number), 0, ""))
    edition = kept.history.edition
    assert [kept.tell(edition, version).since for version in (3, 4, 5, 6)] == [0, 4, 5, 6]


def test_where_most_has_changed_all_is_told() -> None:
    kept = Kept()
    for number in range(400):
        kept.commit(PlacementChange(place(number), 0, ""))
    assert kept.tell(kept.history.edition, 50).since == 0
    assert kept.tell(kept.history.edition, 390).since == 390


@pytest.mark.parametrize("seed", range(20))
def test_whatever_was_known_the_whole_map_is_known_then(seed: int) -> None:
    rng = random.Random(seed)
    kept = Kept()
    epochs: dict[int, int] = {}
    known: list[tuple[FleetMap, dict[str, dict[str, object]]]] = []
    for _ in range(60):
        kept.commit(*(change(rng, epochs) for _ in range(rng.randrange(1, 4))))
        if rng.random() < 0.3:
            tables: dict[str, dict[str, object]] = {}
            apply(tables, kept.tell())
            known.append((kept.tell(), tables))
    whole: dict[str, dict[str, object]] = {}
    apply(whole, kept.tell())
    assert any(kept.tell(last.edition, last.version).since for last, _ in known)
    for last, tables in known:
        apply(tables, kept.tell(last.edition, last.version))
        assert tables == whole


def change(rng: random.Random, epochs: dict[int, int]) -> Change:
    """Any change that can be made."""
    number = rng.randrange(12)
    match rng.randrange(4):
        case 0 if number in epochs:
            return PlacementRemoval(f"p{number}", f"h{number}", epochs.pop(number), "")
        case 1:
            bucket = Bucket(f"b{number % 3}", "shared", "", rng.random())
            return BucketChange(bucket, "", gone=rng.random() < 0.4)
        case 2:
            return KeyChange(Key(f"AK{number % 3}", str(rng.random()), {}), "", gone=rng.random() < 0.4)
        case _:
            before = epochs.get(number, 0)
            epochs[number] = before + 1
            return PlacementChange(place(number, before + 1), before, "")


def test_every_kind_of_entry_of_the_map_is_told() -> None:
    """A table that is added to the map must be told here too."""
    assert {each.name for each in dataclasses.fields(Model)} == {
        *("fleet", "version", "recovering", "servers", "disks", "placements", "leftovers", "buckets", "keys", "groups"),
        *("drills", "hosts", "removed", "on_disk", "folders", "led_past"),
    }
