"""When nothing more can come: only while damage is met, and nothing else happens."""

from __future__ import annotations

from drystone.base.errors import DamagedError, UnavailableError
from drystone.volumes.standstill import LOOKS, Standstill


def look(standstill: Standstill, hydrated: int, times: int, *, damaged: bool = True) -> list[bool]:
    found = []
    for _ in range(times):
        if damaged:
            standstill.note(DamagedError("wrong"))
        found.append(standstill.stands(hydrated))
    return found


def test_damage_in_look_after_look_without_progress() -> None:
    standstill = Standstill()
    assert look(standstill, 7, LOOKS + 1) == [False] * LOOKS + [True]
    assert look(standstill, 7, LOOKS) == [False] * (LOOKS - 1) + [True], "and once more, when it goes on so"


def test_a_slow_store_is_none() -> None:
    standstill = Standstill()
    assert not any(look(standstill, 7, 2))
    assert not any(look(standstill, 7, 5 * LOOKS, damaged=False))


def test_progress_begins_anew() -> None:
    standstill = Standstill()
    for hydrated in range(5):
        assert not any(look(standstill, hydrated, LOOKS))


def test_a_store_that_is_away_begins_anew() -> None:
    standstill = Standstill()
    for _ in range(5):
        assert not any(look(standstill, 7, LOOKS - 1))
        standstill.note(UnavailableError("the store is away"))
