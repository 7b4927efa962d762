"""What a server knows: news are asked for once for all who wait, and never answered with something older."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drystone.fleet.calls import Answer, Calls, Mappers
from drystone.fleet.documents import FleetMap, Member, Placement
from drystone.fleet.storage import standing
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.standing import Standings


class SlowMappers(Mappers):
    """Answers with the map as it is when asked, a while later."""

    def __init__(self) -> None:
        super().__init__(Calls("a-secret"), ("http://127.0.0.1:9",))
        self.version = 1
        self.asked = 0
        self.gate = asyncio.Event()

    async def call(self, method: str, path: str, document: object = None, **_: Any) -> Answer:
        self.asked += 1
        body = msgspec.json.encode(FleetMap("f", 1, self.version))
        await self.gate.wait()
        return Answer(200, body, {})


def test_what_was_so_when_a_refresh_was_asked_for_is_known_after_it(tmp_path: Path) -> None:
    async def run() -> None:
        mappers = SlowMappers()
        standings = Standings("s1", Atlas(tmp_path), Shelf(tmp_path, tmp_path), mappers)
        early = asyncio.create_task(standings.refresh())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert mappers.asked == 1
        mappers.version = 2
        late = [asyncio.create_task(standings.refresh()) for _ in range(5)]
        await asyncio.sleep(0)
        mappers.gate.set()
        await early
        await asyncio.gather(*late)
        assert standings.atlas.version == 2
        assert mappers.asked == 2

    asyncio.run(run())


def test_only_who_knows_less_asks_when_a_call_is_passed_on(tmp_path: Path) -> None:
    async def run() -> None:
        mappers = SlowMappers()
        mappers.gate.set()
        mappers.version = 7
        standings = Standings("s1", Atlas(tmp_path), Shelf(tmp_path, tmp_path), mappers)
        await standings.catch_up(1, 7)
        await standings.catch_up(1, 7)
        await standings.catch_up(1, 3)
        assert mappers.asked == 1

    asyncio.run(run())


def test_a_disk_that_hangs_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "_LEARN_SECONDS", 0.05)

    async def run() -> None:
        for name in ("data_1", "data_2"):
            (tmp_path / name).mkdir()
        shelf = Shelf(tmp_path, tmp_path / "state")
        shelf.find_folders()
        assert await shelf.open("f")
        gate = threading.Event()
        try:
            standings = Standings("s1", Atlas(tmp_path / "state"), shelf, SlowMappers())
            placements = []
            for number, bay in enumerate(shelf.bays.values()):
                assert bay.disk is not None
                own = Member("s1", bay.name, bay.disk.identity.disk_id, "primary", "in_sync")
                placements.append(Placement(f"p{number}", "ns", f"h{number}", f"h{number}", "shared", 1, "s1", (own,)))
            hung = shelf.bays["data_1"].disk
            assert hung is not None
            hold = hung.hold
            monkeypatch.setattr(hung, "hold", lambda *args: (gate.wait(120), hold(*args)))
            async with asyncio.timeout(60):
                await standings.learn_map(FleetMap("f", 1, 1, placements=tuple(placements)))
                while standings.find("p1") is None:  # noqa: ASYNC110  # nothing tells
                    await asyncio.sleep(0.01)
                assert standings.find("p0") is None
                await standings.learn_placement(msgspec.structs.replace(placements[1], epoch=2))
                found = standings.find("p1")
                assert found is not None
                assert found.placement.epoch == 2
                gate.set()
                while standings.find("p0") is None:  # noqa: ASYNC110  # nothing tells
                    await asyncio.sleep(0.01)
        finally:
            gate.set()
            await shelf.close()

    asyncio.run(run())


def test_a_map_of_another_fleet_than_the_disks_is_not_taken(tmp_path: Path) -> None:
    """Of a mapper that lost its database, before it heard of us, when our own state was lost too."""

    async def run() -> None:
        (tmp_path / "data_1").mkdir()
        shelf = Shelf(tmp_path, tmp_path / "state")
        shelf.find_folders()
        assert await shelf.open("f")
        try:
            standings = Standings("s1", Atlas(tmp_path / "state"), shelf, SlowMappers())
            await standings.learn_map(FleetMap("of-a-new-database", 1, 2))
            assert (standings.atlas.fleet, standings.atlas.version) == ("", 0)
            await standings.learn_map(FleetMap("f", 1, 1))
            assert (standings.atlas.fleet, standings.atlas.version) == ("f", 1)
        finally:
            await shelf.close()

    asyncio.run(run())


def test_a_placement_that_others_led_before_is_led_only_after_a_promise_would_have_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, *[200.0] * 100])
    monkeypatch.setattr(standing, "boot_time", lambda: next(times))

    async def run() -> None:
        (tmp_path / "data_1").mkdir()
        shelf = Shelf(tmp_path, tmp_path / "state")
        shelf.find_folders()
        assert await shelf.open("f")
        try:
            standings = Standings("s1", Atlas(tmp_path / "state"), shelf, SlowMappers())
            disk = shelf.bays["data_1"].disk
            assert disk is not None
            own = Member("s1", "data_1", disk.identity.disk_id, "primary", "in_sync")
            for epoch in (1, 2):
                name = f"h{epoch}"
                await standings.learn_placement(Placement(name, "ns", name, name, "shared", epoch, "s1", (own,)))
            assert standings.lead("h1").replica.may_write(200.0)
            assert not standings.lead("h2").replica.may_write(201.9)
            assert standings.lead("h2").replica.may_write(202.0)
        finally:
            await shelf.close()

    asyncio.run(run())
