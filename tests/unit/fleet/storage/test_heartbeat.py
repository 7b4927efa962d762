"""What a server tells of its disks is the newest that it goes by, so that no map is rebuilt from less."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import KernelError, UnavailableError
from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.disk.disk import Disk
from drystone.fleet.documents import FleetMap, Heartbeat, HeartbeatAnswer, Member, Placement
from drystone.fleet.storage import heartbeat
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.drills import Driller
from drystone.fleet.storage.heartbeat import Reporter
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.standing import Standings


class EndedError(Exception):
    """The test has what it wants."""


class Listening(Mappers):
    """Notes heartbeats. :ivar failing: whether none is answered."""

    def __init__(self) -> None:
        super().__init__(Calls("a-secret"), ("http://127.0.0.1:9",))
        self.beats: list[Heartbeat] = []
        self.failing = False
        self.wanted = 1

    async def ask(self, path: str, document: object, kind: type[Any], **_: Any) -> Any:
        assert isinstance(document, Heartbeat)
        self.beats.append(document)
        if len(self.beats) == self.wanted:
            raise EndedError
        if self.failing:
            raise UnavailableError("no mapper")
        return HeartbeatAnswer(document.term)


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Standings, Disk, Listening]]:
    """A server with one disk, which knows a placement in epoch 1."""
    (folder / "data_1").mkdir()
    shelf = Shelf(folder, folder / "state")
    shelf.find_folders()
    await shelf.open("f")
    disk = shelf.bays["data_1"].disk
    assert disk is not None
    mappers = Listening()
    try:
        standings = Standings("s1", Atlas(folder / "state"), shelf, mappers)
        await standings.learn_placement(placement(1, disk))
        yield standings, disk, mappers
    finally:
        await shelf.close()


def placement(epoch: int, disk: Disk) -> Placement:
    own = Member("s1", "data_1", disk.identity.disk_id, "primary", "in_sync")
    return Placement("p", "ns", "h", "h", "shared", epoch, "s1", (own,))


async def beat(standings: Standings, mappers: Listening, wanted: int = 1) -> list[Heartbeat]:
    mappers.wanted = wanted
    with contextlib.suppress(EndedError):
        driller = Driller(standings, Calls("a-secret"), mappers, 0)
        await Reporter(standings, mappers, driller, "http://s1", "boot").run()
    return mappers.beats


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_EVERY", 0.01)


def epochs(beat: Heartbeat) -> list[int]:
    return [each.placement.epoch for each in beat.held or ()]


def test_a_disk_that_was_away_is_told_what_it_missed_before_its_word_is_given(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, mappers):
            standings.atlas.take(FleetMap("f", 1, 1, placements=(placement(2, disk),)))
            (told,) = await beat(standings, mappers)
            assert epochs(told) == [2]
            assert told.told == (disk.identity.disk_id,)
            assert disk.placements()["p"].epoch == 2
            assert standings.lead("p").placement.epoch == 2

    asyncio.run(run())


def test_a_disk_that_does_not_keep_what_it_missed_has_no_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise KernelError("write", 5)

    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, mappers):
            standings.atlas.take(FleetMap("f", 1, 1, placements=(placement(2, disk),)))
            with monkeypatch.context() as patch:
                patch.setattr(disk, "hold", refuse)
                (told,) = await beat(standings, mappers)
            assert (told.held, told.told) == ((), ())
            mappers.beats.clear()
            again, _ = await beat(standings, mappers, 2)
            assert epochs(again) == [2]

    asyncio.run(run())


def test_a_word_given_in_a_term_was_not_asked_for_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, mappers):
            standings.atlas.take(FleetMap("f", 4, 1, placements=(placement(1, disk),)))
            loop = asyncio.get_running_loop()
            held = disk.held

            def ask() -> Any:
                found = held()
                newer = FleetMap("f", 9, 1, placements=(placement(1, disk),))
                asyncio.run_coroutine_threadsafe(standings.learn_map(newer), loop).result(60)
                return found

            with monkeypatch.context() as patch:
                patch.setattr(disk, "held", ask)
                first, second = await beat(standings, mappers, 2)
            assert (first.term, second.term) == (4, 9)
            assert second.held is not None, "it is told again in the new term"

    asyncio.run(run())


def test_a_disk_that_hangs_silences_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_DISK_SECONDS", 0.05)
    gate = threading.Event()

    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, mappers):
            with monkeypatch.context() as patch:
                patch.setattr(disk, "held", lambda: (gate.wait(120), ())[1])
                try:
                    (told,) = await beat(standings, mappers)
                finally:
                    gate.set()
            assert (told.held, told.told) == ((), ())

    asyncio.run(run())


def test_what_was_told_to_nobody_is_told_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (standings, _, mappers):
            mappers.failing = True
            assert [epochs(each) for each in await beat(standings, mappers, 3)] == [[1], [1], [1]]
            mappers.beats.clear()
            mappers.failing = False
            assert [epochs(each) for each in await beat(standings, mappers, 3)] == [[1], [], []]

    asyncio.run(run())
