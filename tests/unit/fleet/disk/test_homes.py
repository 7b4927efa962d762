"""Placements that a disk has."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drystone.fleet.disk.homes import Homes
from drystone.fleet.disk.index import Index
from drystone.testing.fleet.disk_world import placement


@pytest.fixture
def commits() -> list[int]:
    return []


@pytest.fixture
def index(tmp_path: Path, commits: list[int]) -> Iterator[Index]:
    index = Index(tmp_path / "index.db", lambda each: commits.append(each.total_changes))
    index.create()
    index.open()
    yield index
    index.close()


def test_many_that_are_learned_at_once_share_a_commit(index: Index, commits: list[int]) -> None:
    homes = Homes(index)
    begun, goes_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        begun.set()
        assert goes_on.wait(120)

    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(index.write, slow)
        assert begun.wait(120)
        learned = [placement("d", placement_id=f"p{number}") for number in range(8)]
        holds = [threads.submit(homes.hold, each, "primary") for each in learned]
        while index._steps.qsize() < len(holds) and not any(each.done() for each in holds):
            pass
        goes_on.set()
        first.result()
        for each in holds:
            each.result()
    assert len(commits) == 2
    again = Homes(index)
    again.load()
    assert {each.placement.id: each.placement for each in again.all().values()} == {each.id: each for each in learned}


def test_of_many_epochs_at_once_the_highest_is_kept(index: Index) -> None:
    homes = Homes(index)

    def hold(epoch: int) -> None:
        homes.hold(placement("d", epoch=epoch), "primary")

    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(hold, epoch) for epoch in range(1, 40)]:
            each.exception()
    again = Homes(index)
    again.load()
    assert again.find("p1").placement.epoch == homes.find("p1").placement.epoch == 39
