"""Drills that a mapper asks for: what is picked, and who is told what. With real bytes: tests/system/fleet."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from drystone.base.errors import UnavailableError
from drystone.fleet.calls import Answer, Calls, Mappers
from drystone.fleet.documents import Drill, DrillResult
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.drills import Driller, pick
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.standing import Standings


class Hearing(Mappers):
    """Notes results. :ivar deaf: how many calls fail first."""

    def __init__(self, deaf: int = 0) -> None:
        super().__init__(Calls("a-secret"), ("http://127.0.0.1:9",))
        self.deaf = deaf
        self.results: list[DrillResult] = []
        self.called = asyncio.Event()

    async def call(self, method: str, path: str, document: object = None, **_: object) -> Answer:
        assert (method, path) == ("POST", "/internal/drills")
        self.called.set()
        if self.deaf:
            self.deaf -= 1
            raise UnavailableError("no mapper answers")
        assert isinstance(document, DrillResult)
        self.results.append(document)
        return Answer(204, b"", {})


def ask(folder: Path, mappers: Hearing, *turns: tuple[Drill, ...]) -> list[DrillResult]:
    """What a server without disks tells, that is asked for drills turn after turn."""

    async def serve() -> None:
        standings = Standings("s1", Atlas(folder), Shelf(folder, folder), mappers)
        driller = Driller(standings, Calls("a-secret"), mappers, 0)
        running = asyncio.create_task(driller.run())
        for drills in turns:
            driller.take(drills)
            if drills:
                await mappers.called.wait()
                mappers.called.clear()
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(serve())
    return mappers.results


def make_info(size: int) -> ObjectInfo:
    return ObjectInfo(f"h/{size}", size, 1.0, "", "", 1)


def test_as_many_bytes_as_are_allowed_and_one_object_at_least() -> None:
    infos = [make_info(each) for each in (500, 40, 60, 1)]
    assert pick(infos, 540) == infos[:2]
    assert pick(infos, 10) == infos[:1]
    assert pick(infos, 1000) == infos
    assert pick([], 10) == []


def test_a_drill_that_cannot_be_made_is_told_with_its_reason(tmp_path: Path) -> None:
    (result,) = ask(tmp_path, Hearing(), (Drill("d", "p", 10, 10),))
    assert (result.id, result.placement, result.objects, result.findings) == ("d", "p", 0, ())
    assert "does not lead" in result.reason


def test_a_result_that_was_not_heard_is_told_again(tmp_path: Path) -> None:
    drills = (Drill("d", "p", 10, 10),)
    assert len(ask(tmp_path, Hearing(deaf=1), drills, drills)) == 1
    assert len(ask(tmp_path, Hearing(deaf=1), drills, ())) == 0
