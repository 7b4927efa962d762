"""File systems that grow beside all else: each once for a wish, one after the other, and what became of it."""

from __future__ import annotations

from collections.abc import Callable

from drystone.base.errors import RefusedError
from drystone.cluster.agents.answers import FileSystemSeen
from drystone.cluster.agents.growing import Growths


def test_each_wish_is_done_once_and_told() -> None:
    grown: list[str] = []
    growths = Growths(grown.append, lambda work: work())
    for fill in (4, 4, 7):
        growths.start("a", fill, "db")
    assert grown == ["db", "db"]
    assert growths.find("a", 7) == FileSystemSeen(7, "")
    assert (growths.find("a", 4), growths.find("b", 7)) == (None, None)


def test_why_it_did_not_grow_is_told_also_of_a_defect() -> None:
    def refuse(device: str) -> None:
        if device == "odd":
            raise ValueError(device)
        raise RefusedError("xfs grows only while it is mounted", hint="mount it")

    growths = Growths(refuse, lambda work: work())
    growths.start("a", 1, "db")
    assert growths.find("a", 1) == FileSystemSeen(1, "xfs grows only while it is mounted (mount it)")
    growths.start("a", 2, "odd")
    found = growths.find("a", 2)
    assert found is not None
    assert "defect" in found.problem


def test_what_is_asked_for_meanwhile_is_done_after_it_and_others_do_not_wait() -> None:
    works: list[Callable[[], None]] = []
    grown: list[str] = []

    def grow(device: str) -> None:
        grown.append(device)
        growths.start("a", 2, device)

    growths = Growths(grow, works.append)
    growths.start("a", 1, "db")
    growths.start("b", 1, "other")
    assert (len(works), growths.find("a", 1)) == (2, None)
    works[0]()
    assert grown == ["db", "db"]
    assert growths.find("a", 2) == FileSystemSeen(2, "")
    assert len(works) == 2
