from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from drystone.backup.era_plan import Choice, EraFacts, choose
from drystone.backup.era_state import EraState
from drystone.formats.era.tag import Session

FACTS = EraFacts(tag="t", sessions=(Session(3, 9), Session(2, 1)), era=9, block_size=65536, blocks=16, size=1 << 20)
STATE = EraState(tag="t", session=2, next_era=7, end_era=8, block_size=65536, size=1 << 20)


def test_what_changed() -> None:
    assert choose(FACTS, STATE) == Choice(7)
    assert choose(FACTS, msgspec.structs.replace(STATE, session=3, next_era=9, end_era=9)) == Choice(9)
    assert choose(FACTS, STATE, at_era=7) == Choice(7)
    assert choose(replace(FACTS, discards_until=6), STATE) == Choice(7)


def test_no_state() -> None:
    assert choose(FACTS, None, "because") == Choice(None, "because")


@pytest.mark.parametrize(
    ("facts", "state", "text"),
    [
        ({"tag": ""}, {}, "no tag"),
        ({"tag": ""}, {"tag": ""}, "no tag"),
        ({"tag": "u"}, {}, "made anew, or is another's"),
        ({"size": (1 << 20) + 1, "blocks": 17}, {}, "resized from 1048576 to 1048577"),
        ({"size": (1 << 20) - 512}, {}, "resized"),
        ({"blocks": 15}, {}, "resized"),
        ({"block_size": 32768, "blocks": 32}, {}, "size of the blocks"),
        ({}, {"session": 4}, "put back from a copy"),
        ({"sessions": ()}, {}, "put back from a copy"),
        ({"sessions": (Session(3, 8), Session(2, 1))}, {}, "put back from a copy"),
        ({"sessions": (Session(4, 9), Session(3, 7), Session(2, 1))}, {}, "put back from a copy"),
        ({"era": 7}, {}, "eras went backwards"),
        ({}, {"next_era": 9}, "eras went backwards"),
        ({}, {"next_era": 0}, "eras went backwards"),
        ({"keeps_writesets": False}, {}, "older than 5.12"),
        ({"discards_until": 7}, {}, "let discards through"),
    ],
)
def test_doubts_read_everything(facts: dict[str, object], state: dict[str, object], text: str) -> None:
    found = choose(replace(FACTS, **facts), msgspec.structs.replace(STATE, **state))  # type: ignore[arg-type]
    assert found.since is None
    assert text in found.reason


def test_data_that_is_older_than_the_base() -> None:
    found = choose(FACTS, STATE, at_era=6)
    assert (found.since, "data is of era 6" in found.reason) == (None, True)
