"""What must stay for a backup to be readable, at the moment when it comes to be."""

from __future__ import annotations

import pytest

from drystone.backup.format.keys import pack_key
from drystone.backup.state.document import State
from drystone.backup.writing.commit import closure, needed

A, B, C, D = (bytes([each]) * 16 for each in range(4))


def moved(**to: list[bytes]) -> dict[str, tuple[str, ...]]:
    names = {"a": A, "b": B, "c": C, "d": D}
    return {names[old].hex(): tuple(each.hex() for each in new) for old, new in to.items()}


CASES: dict[str, tuple[State, set[bytes], set[bytes], set[bytes] | None]] = {
    "all there": (State(), {A, B}, {A, B}, {A, B}),
    "one gone": (State(), {A, B}, {A}, None),
    "one going": (State(removed=(pack_key(B),)), {A, B}, {A, B}, None),
    "gone and moved": (State(moved=moved(a=[B, C])), {A}, {B, C}, {A, B, C}),
    "going and moved": (State(moved=moved(a=[B]), removed=(pack_key(A),)), {A}, {A, B}, {A, B}),
    "moved to what is gone": (State(moved=moved(a=[B, C])), {A}, {B}, None),
    "moved to what is going": (State(moved=moved(a=[B]), removed=(pack_key(B),)), {A}, {B}, None),
    "moved to what is gone, and still there": (State(moved=moved(a=[B])), {A}, {A}, {A, B}),
    "moved twice": (State(moved=moved(a=[B], b=[C])), {A}, {C}, {A, B, C}),
    "moved in a ring": (State(moved=moved(a=[B], b=[A])), {A}, set(), None),
    "nothing": (State(), set(), set(), set()),
}


@pytest.mark.parametrize(("state", "packs", "listed", "wanted"), CASES.values(), ids=CASES)
def test_what_must_stay(state: State, packs: set[bytes], listed: set[bytes], wanted: set[bytes] | None) -> None:
    assert needed(state, packs, listed) == wanted
    assert closure(state, packs) >= packs
