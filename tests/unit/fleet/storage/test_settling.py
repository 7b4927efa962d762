"""Dirty keys are settled, whenever they became so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from drystone.fleet.disk.changes import Dirty
from drystone.fleet.disk.disk import Disk
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.settling import Settler
from drystone.testing.fleet.disk_world import leave_dirty
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader


@contextlib.asynccontextmanager
async def settling(lone: LoneLeader) -> AsyncIterator[None]:
    task = asyncio.create_task(Settler(lone.leader, Mender(lone.standings, lone.calls)).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class AskedDisk(Disk):
    """A disk that counts how often it was asked for its dirty keys."""

    asked = 0

    def dirty(self, placement_id: str) -> tuple[Dirty, ...]:
        found = super().dirty(placement_id)
        self.asked += 1
        return found


def open_anew(lone: LoneLeader) -> AskedDisk:
    """Close the leader's disk and open it again."""
    bay = lone.standing.bay
    lone.standing.disk.close()
    bay.disk = disk = AskedDisk(bay.root, bay.name)
    disk.open("f")
    return disk


async def wait_for(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not what():  # noqa: ASYNC110  # what changes has no event
            await asyncio.sleep(0.01)


def mark(lone: LoneLeader, key: str) -> None:
    leave_dirty(lone.standing.disk, ID, key, 1)
    lone.leader.on_dirty(ID)


def test_a_key_that_becomes_dirty_while_another_is_settled_is_settled_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            disk = open_anew(lone)
            mark(lone, "web/first")
            async with contextlib.AsyncExitStack() as stack:
                async with lone.leader.locks.hold((ID, "web/first")):
                    await stack.enter_async_context(settling(lone))
                    await wait_for(lambda: disk.asked > 0)
                    mark(lone, "web/second")
                await wait_for(lambda: not lone.standing.disk.dirty(ID))

    asyncio.run(run())


def test_what_an_opening_of_the_disk_left_dirty_is_settled(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone, settling(lone):
            mark(lone, "web/first")
            await wait_for(lambda: not lone.standing.disk.dirty(ID))
            leave_dirty(lone.standing.disk, ID, "web/second", 1)  # and nobody was told
            open_anew(lone)
            await wait_for(lambda: not lone.standing.disk.dirty(ID))

    asyncio.run(run())
