"""What a new backup may refer to: the newest entries of the indexes, within a limit, in packs that stay."""

from __future__ import annotations

import pytest

from drystone.backup.format import index_object
from drystone.backup.format.keys import index_key, pack_key
from drystone.backup.format.pack import Place
from drystone.backup.reading.locate import Locator
from drystone.backup.state.document import Doom, State
from drystone.backup.vault import create_vault
from drystone.backup.writing.index import make_index
from drystone.backup.writing.known import load_known
from drystone.backup.writing.spoilt import Spoilt
from drystone.testing.stores import MemoryStore

A, B = b"a" * 16, b"b" * 16
NAMES = ("0a" * 12, "0b" * 12)
LEAVES = [bytes([number]) * 32 for number in range(1, 9)]
PLACES = [Place(A if number < 4 else B, 32 + number, 100) for number in range(8)]
"""The first four are in pack A and in the older index."""


def known(state: State, most: int = 100, objects: int = 100) -> list[int]:
    """The numbers of the leaves that are found."""
    vault = create_vault(MemoryStore())
    for name, numbers in zip(NAMES, (range(4), range(4, 8)), strict=True):
        rows = {LEAVES[at]: (PLACES[at].pack, PLACES[at].offset, PLACES[at].length) for at in numbers}
        vault.put(index_key(name), index_object.encode(make_index(rows)))
    tables = load_known(Locator(vault, state), Spoilt(state), most, objects)
    found = {at: [place for table in tables if (place := table.find(leaf))] for at, leaf in enumerate(LEAVES)}
    assert all(places in ([], [PLACES[at]]) for at, places in found.items())
    return [at for at, places in found.items() if places]


@pytest.mark.parametrize(
    ("most", "objects", "wanted"),
    [(100, 100, range(8)), (100, 1, range(4, 8)), (4, 9, range(4, 8)), (3, 9, range(4, 7)), (6, 9, (0, 1, 4, 5, 6, 7))],
)
def test_the_newest_within_the_limits(most: int, objects: int, wanted: range) -> None:
    assert known(State(indexes=NAMES), most, objects) == list(wanted)


STATES = {
    "doomed": (State(indexes=NAMES, doomed=(Doom(A.hex(), 1),)), [4, 5, 6, 7]),
    "removed": (State(indexes=NAMES, removed=(pack_key(B),)), [0, 1, 2, 3]),
    "moved": (State(indexes=NAMES, moved={A.hex(): (B.hex(),)}), [4, 5, 6, 7]),
    "damaged": (State(indexes=NAMES, damaged={A.hex(): (33, 36), B.hex(): (37,)}), [0, 2, 3, 4, 6, 7]),
}


@pytest.mark.parametrize(("state", "wanted"), STATES.values(), ids=STATES)
def test_what_is_going_or_wrong_is_left_out(state: State, wanted: list[int]) -> None:
    assert known(state) == wanted
    limited = known(state, most=2)
    assert len(limited) == 2
    assert set(limited) <= set(wanted), "and counts for nothing"
