"""The legacy interface's own actions: what they may delete, and what they wait for."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from drystone.fleet.disk.disk import Disk
from drystone.fleet.documents import Member, Placement
from drystone.fleet.storage import shelf
from drystone.fleet.storage.legacy_actions import EntryFiles, LegacyActions
from drystone.testing.fleet.lone_leader import LoneLeader, lone_leader


def make_actions(lone: LoneLeader, folder: Path) -> LegacyActions:
    return LegacyActions(lone.standings, lone.mappers, EntryFiles(folder / "entries.json"))


def hold_left_over(disk: Disk) -> Placement:
    """A placement in the secondary slot that has no copy there any more."""
    other = Member("s2", "data_1", "another-disk", "secondary", "in_sync")
    placement = Placement("p2", "ns", "db", "db", "shared", 5, "s2", (other,))
    disk.hold(placement, "secondary")
    return placement


def test_only_what_is_left_over_is_deleted(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            disk = lone.standing.disk
            hold_left_over(disk)
            actions = make_actions(lone, tmp_path)
            make_spare = {"action": "make_spare", "disk": "data_1"}
            assert await actions.act("GET", {**make_spare, "type": "primary"}) == (400, "Disk is not spare.")
            assert await actions.act("GET", {**make_spare, "type": "secondary"}) == (200, "Disk is spare.")
            assert set(disk.placements()) == {"p1"}

    asyncio.run(run())


def test_a_deletion_may_take_longer_than_a_step_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a copy that is to lie there again meanwhile ends it."""

    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            disk = lone.standing.disk
            left = hold_left_over(disk)
            begun, go_on = threading.Event(), threading.Event()

            def leave(placement_id: str, *, rate: float, stop: object) -> bool:
                assert (placement_id, rate > 0) == ("p2", True)
                begun.set()
                assert go_on.wait(120)
                assert callable(stop)
                return not stop()

            monkeypatch.setattr(disk, "leave", leave)
            query = {"action": "make_spare", "disk": "data_1", "type": "secondary"}
            with monkeypatch.context() as impatient:
                impatient.setattr(shelf, "_SECONDS", 0.1)
                asked = asyncio.create_task(make_actions(lone, tmp_path).act("GET", query))
                await asyncio.to_thread(begun.wait)
                await asyncio.sleep(0.3)
            own = Member("s1", "data_1", disk.identity.disk_id, "secondary", "copying")
            again = Placement("p2", "ns", "db", "db", "shared", 6, "s2", (*left.members, own))
            learning = asyncio.create_task(lone.standings.learn_placement(again))
            await asyncio.sleep(0)
            go_on.set()
            assert await asked == (400, "Disk is not spare.")
            await learning
            assert lone.standings.find("p2") is not None

    asyncio.run(run())
