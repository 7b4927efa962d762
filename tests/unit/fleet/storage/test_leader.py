"""A leader's side of a change: what fails here is taken back, settled later, and costs no member its place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, ExhaustedError, NotFoundError, UnavailableError
from drystone.fleet.disk.changes import Change, Dirty
from drystone.fleet.disk.disk import Disk
from drystone.fleet.objects import ObjectInfo
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader


class FailingDisk(Disk):
    """A disk that is full when a change is to take its place, and may fail when one is taken back."""

    abort_fails = False

    def commit(self, intent: int) -> None:  # as a disk's
        raise ExhaustedError("full")

    def abort(self, intent: int, *, dirty: bool) -> None:
        if self.abort_fails:
            raise UnavailableError("bad")
        super().abort(intent, dirty=dirty)


def use(lone: LoneLeader, kind: type[Disk]) -> Disk:
    """Open the leader's disk as one of another kind."""
    bay = lone.standing.bay
    old = lone.standing.disk
    old.close()
    bay.disk = kind(bay.root, bay.name)
    bay.disk.open("f")
    return bay.disk


def test_a_change_that_cannot_take_its_place_is_taken_back_and_settled_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            before = await lone.put("web/file", b"before")
            disk = use(lone, FailingDisk)
            dirty: list[str] = []
            lone.leader.on_dirty = dirty.append
            with pytest.raises(ExhaustedError):
                await lone.put("web/file", b"after")
            assert dirty == [ID]
            assert [each.key for each in disk.dirty(ID)] == ["web/file"]
            entry = disk.find(ID, "web/file")
            assert entry is not None
            assert entry.info.digest == before.digest
            # No number stays open, so copies may be compared with all that is there.
            assert disk.compare(ID, "", 10).as_of >= disk.dirty(ID)[0].seq

    asyncio.run(run())


def test_what_cannot_be_taken_back_now_is_when_the_disk_is_opened(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            disk = use(lone, FailingDisk)
            assert isinstance(disk, FailingDisk)
            disk.abort_fails = True
            dirty: list[str] = []
            lone.leader.on_dirty = dirty.append
            with pytest.raises(ExhaustedError):
                await lone.put("web/file", b"after")
            assert dirty == [ID]
            opened = use(lone, Disk)
            assert [each.key for each in opened.dirty(ID)] == ["web/file"]
            assert opened.find(ID, "web/file") is None

    asyncio.run(run())


def test_own_bytes_that_cannot_be_read_cost_no_member_its_place(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path, members=2) as lone:

            def describe(seq: int) -> Change:
                return Change("put", ID, ObjectInfo("web/file", 3, 1.0, "", "", seq, delete_marker=True), seq)

            def read() -> Iterator[bytes]:
                yield b"a"
                raise DamagedError("a piece of ours is damaged")

            with pytest.raises(DamagedError):
                await lone.leader.make(lone.standing, describe, read=read)
            assert lone.mappers.reports == []
            assert [each.key for each in lone.standing.disk.dirty(ID)] == ["web/file"]

    asyncio.run(run())


def test_a_member_that_does_not_answer_is_dropped_before_a_change_is_made_without_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path, members=2) as lone:
            await lone.put("web/file", b"bytes")
            assert [each.drop for each in lone.mappers.reports] == [("s2",)]
            assert [each.server for each in lone.standing.placement.members] == ["s1"]
            assert lone.standing.disk.dirty(ID) == ()

    asyncio.run(run())


def test_a_change_that_no_mapper_decides_about_is_refused_and_dirty(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path, members=2) as lone:
            lone.mappers.placement = None
            with pytest.raises(UnavailableError):
                await lone.put("web/file", b"bytes")
            (left,) = lone.standing.disk.dirty(ID)
            assert isinstance(left, Dirty)
            assert lone.standing.disk.find(ID, "web/file") is None

    asyncio.run(run())


def test_a_mapper_that_lost_its_map_is_no_reason_to_say_that_there_is_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path, members=2) as lone:
            lone.mappers.refusal = NotFoundError("there is no placement p1")
            with pytest.raises(UnavailableError):
                await lone.put("web/file", b"bytes")

    asyncio.run(run())
