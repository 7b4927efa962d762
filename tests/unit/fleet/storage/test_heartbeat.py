"""What a server tells of its disks is the newest that it goes by, so that no map is rebuilt from less."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drystone.base.errors import KernelError, UnavailableError
from drystone.fleet.calls import Answer, Calls, Mappers
from drystone.fleet.disk.disk import Disk
from drystone.fleet.documents import FleetMap, Heartbeat, HeartbeatAnswer, Member, Placement
from drystone.fleet.storage import heartbeat
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.drills import Driller
from drystone.fleet.storage.failures import ElsewhereError
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


def own(server: str, disk: Disk) -> Member:
    return Member(server, "data_1", disk.identity.disk_id, "primary", "in_sync")


def placement(epoch: int, disk: Disk) -> Placement:
    return Placement("p", "ns", "h", "h", "shared", epoch, "s1", (own("s1", disk),))


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


def test_a_disk_that_came_from_another_server_is_told_too(tmp_path: Path) -> None:
    """The map still says that server, and that we have a disk which is somewhere else; its word would be of before."""

    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, mappers):
            there = Placement("q", "ns", "g", "g", "shared", 1, "s9", (own("s9", disk),))
            disk.hold(there, "primary")
            absent = Member("s1", "data_5", "not-here", "secondary", "in_sync")
            newer = msgspec.structs.replace(there, epoch=2474, members=(own("s9", disk), absent))
            standings.atlas.take(FleetMap("f", 1, 1, placements=(placement(1, disk), newer)))
            (told,) = await beat(standings, mappers)
            assert sorted(epochs(told)) == [1, 2474]
            assert disk.placements()["q"].epoch == 2474
            assert standings.find("q") is None, "it is no copy of this server's"

    asyncio.run(run())


def test_a_disk_that_comes_when_we_go_by_what_it_missed_is_told(tmp_path: Path) -> None:
    """Another copy of the same host, from a server that died before it learned."""
    (tmp_path / "data_2").mkdir()

    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, mappers):
            bay = standings.shelf.bays["data_2"]
            other = bay.disk
            assert other is not None
            before = msgspec.structs.replace(placement(6, disk), members=(own("s1", disk), own("s9", other)))
            other.hold(before, "primary")
            bay.disk = None
            newer = msgspec.structs.replace(before, epoch=7)
            await standings.learn_map(FleetMap("f", 1, 1, placements=(newer,)))
            assert standings.lead("p").placement.epoch == 7
            bay.disk = other
            (told,) = await beat(standings, mappers)
            assert epochs(told) == [7, 7]
            assert set(told.told) == {disk.identity.disk_id, other.identity.disk_id}

    asyncio.run(run())


def test_a_disk_that_comes_back_from_a_server_that_led_is_known_before_it_is_used(tmp_path: Path) -> None:
    """Else we would write on it, and read, as the leader that we were."""
    (tmp_path / "data_2").mkdir()

    async def run() -> None:
        async with opened(tmp_path) as (standings, _, _):
            bay = standings.shelf.bays["data_2"]
            other = bay.disk
            assert other is not None
            ours = msgspec.structs.replace(placement(1, other), id="q", host="g", folder="g")
            await standings.learn_placement(ours)
            assert standings.lead("q").bay is bay
            bay.disk = None
            other.hold(msgspec.structs.replace(ours, epoch=8, leader="s2"), "primary")
            other.close()
            await standings.load()
            before_use, found = standings.shelf.before_use, []

            def look(disk: Disk) -> None:
                before_use(disk)
                found.append(bay.disk is None)

            standings.shelf.before_use = look
            assert await standings.shelf.open("f")
            assert found == [True]
            with pytest.raises(ElsewhereError, match="epoch 8"):
                standings.lead("q")
            await standings.load()
            newest = standings.newest("q")
            assert newest is not None
            assert (newest.epoch, newest.leader) == (8, "s2")

    asyncio.run(run())


def test_what_a_lost_database_decided_of_others_copies_is_left_with_the_map_of_a_higher_term(tmp_path: Path) -> None:
    """A copy of ours was given up; who leads what is left now would be sent away by us in the name of the lost one."""

    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, _):
            others = (Member("s2", "data_1", "another-disk", "primary", "in_sync"),)
            lost, now = (
                msgspec.structs.replace(placement(epoch, disk), leader="s2", members=others) for epoch in (6548, 4052)
            )
            await standings.learn_map(FleetMap("f", 1, 1, placements=(lost,)))
            assert standings.newest("p") == lost
            assert disk.placements()["p"].epoch == 6548, "that our copy was given up"
            await standings.learn_map(FleetMap("f", 2, 1, placements=(now,)))
            assert standings.newest("p") == now

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


class Telling(Listening):
    """Answers each question for a newer map with a map, at once. :ivar asked: how often."""

    def __init__(self, map_: FleetMap) -> None:
        super().__init__()
        self.map = map_
        self.asked = 0

    async def call(self, *_: Any, **__: Any) -> Answer:
        self.asked += 1
        if self.asked > 20:
            raise EndedError
        return Answer(200, msgspec.json.encode(self.map), {})


def test_a_map_that_is_not_taken_is_not_asked_for_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise EndedError

    async def run() -> None:
        async with opened(tmp_path) as (standings, disk, _):
            standings.atlas.take(FleetMap("f", 4, 7, placements=(placement(1, disk),)))
            mappers = Telling(FleetMap("f", 3, 9))
            reporter = Reporter(standings, mappers, Driller(standings, Calls("s"), mappers, 0), "http://s1", "boot")
            with monkeypatch.context() as patch:
                patch.setattr(asyncio, "sleep", pause)
                with contextlib.suppress(EndedError):
                    await reporter.follow_map()
            assert (mappers.asked, len(pauses)) == (3, 3)

            mappers.map, mappers.asked = FleetMap("f", 4, 8, placements=(placement(1, disk),)), 0
            with monkeypatch.context() as patch:
                patch.setattr(asyncio, "sleep", pause)
                pauses.clear()
                with contextlib.suppress(EndedError):
                    await reporter.follow_map()
            assert standings.atlas.version == 8
            assert (mappers.asked, len(pauses)) == (4, 3), "what is taken is followed at once"

    asyncio.run(run())
