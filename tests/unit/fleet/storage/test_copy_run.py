"""The copying member's part: what it asks its leader, and what it does to its own disk."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import msgspec
import pytest

from drystone.fleet.calls import Answer
from drystone.fleet.disk.changes import ComparedPage
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.files import DiskFiles
from drystone.fleet.documents import Placement
from drystone.fleet.storage import shelf
from drystone.fleet.storage.copying import COMPARE_PATH, ENDED_PATH, UPLOADS_PATH, Copier, CopyRun
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader

STEP = 0.08
"""Seconds that it takes to remove a file."""


class SlowFiles(DiskFiles):
    """A disk on which a removal takes its time."""

    def unlink(self, place: str) -> bool:
        time.sleep(STEP)
        return super().unlink(place)


class EmptyLeader:
    """A leader that has nothing of the placement. Passes for the Copier that asks it."""

    server = "s1"

    def __init__(self, lone: LoneLeader) -> None:
        self._lone = lone
        self.learned: list[Placement] = []

    async def ask(self, placement: Placement, path: str, _: object) -> Answer:
        as_of = self._lone.standing.disk.take_seq(ID, placement.epoch)
        documents = {COMPARE_PATH: ComparedPage((), as_of, ""), UPLOADS_PATH: [], ENDED_PATH: placement}
        return Answer(200, msgspec.json.encode(documents[path]), {})

    async def learn(self, placement: Placement) -> None:
        self.learned.append(placement)


def test_much_that_is_to_be_removed_is_no_step_that_the_disk_is_waited_for_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            for number in range(40):
                await lone.put(f"web/{number}", b"x")
            bay = lone.standing.bay
            lone.standing.disk.close()
            bay.disk = Disk(bay.root, bay.name, files=SlowFiles(bay.root))
            bay.disk.open("f")
            monkeypatch.setattr(shelf, "_SECONDS", 30 * STEP)
            leader = EmptyLeader(lone)
            placement = lone.standing.placement
            await CopyRun(cast("Copier", leader), lone.standing, placement).run()
            assert lone.standing.disk.list(ID, "", "", "", 100).objects == ()
            assert leader.learned == [placement]

    asyncio.run(run())
