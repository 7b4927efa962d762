"""Placements that have few epochs left are counted, and not each time that somebody asks."""

from __future__ import annotations

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.epochs import SHORT
from drystone.fleet.mapping.model import Model, PlacementChange
from drystone.fleet.mapping.shortage import Shortage


class CountedModel(Model):
    """Counts how often its placements are looked at."""

    walks = 0

    def __getattribute__(self, name: str) -> object:
        if name == "placements":
            CountedModel.walks += 1
        return super().__getattribute__(name)


def add(model: Model, name: str, epoch: int) -> None:
    placement = Placement(name, "ns", name, name, "shared", epoch, "s1", ())
    model.apply([PlacementChange(placement, 0, "made")], model.version + 1)


def test_all_placements_are_looked_at_once_in_ten_seconds_and_not_where_nothing_changed() -> None:
    now = [100.0]
    shortage, model = Shortage(lambda: now[0]), CountedModel("fleet")
    add(model, "a", SHORT)
    add(model, "b", SHORT - 1)

    def ask() -> tuple[int, int]:
        CountedModel.walks = 0
        found = shortage.count(model)
        return found, CountedModel.walks

    assert ask() == (1, 1)
    now[0] += 1000.0
    assert ask() == (1, 0), "nothing changed"
    add(model, "c", SHORT)
    assert ask() == (2, 1)
    add(model, "d", SHORT)
    now[0] += 9.0
    assert ask() == (2, 0)
    now[0] += 1.0
    assert ask() == (3, 1)


def test_a_database_that_was_read_anew_is_counted_at_once() -> None:
    shortage, model = Shortage(lambda: 0.0), Model("fleet")
    add(model, "a", SHORT)
    assert shortage.count(model) == 1
    other = Model("fleet")
    add(other, "b", 1)
    assert (other.version, shortage.count(other)) == (model.version, 0)
