"""A leader's side of a change: what fails here is taken back, settled later, and costs no member its place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from drystone.base.errors import DamagedError, ExhaustedError, NotFoundError, UnavailableError
from drystone.fleet.disk.changes import Change, Dirty
from drystone.fleet.disk.disk import Disk
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage import links
from drystone.fleet.storage.members import Done
from drystone.fleet.storage.standing import boot_time
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader
from drystone.wire.tcp import Limits, serve_tcp


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


@pytest.mark.parametrize("why", ["silent", "dropped"])
def test_a_member_that_hangs_is_waited_for_only_while_it_is_worth_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """It is not, once it answers nothing else either, or a mapper has dropped it."""
    monkeypatch.setattr(links, "ANSWER_SECONDS", 1e6)

    async def run() -> None:
        asked = asyncio.Event()

        async def hang(_: web.BaseRequest) -> web.StreamResponse:
            asked.set()
            return await asyncio.Future[web.StreamResponse]()

        async with (
            asyncio.timeout(100),
            serve_tcp(hang, "127.0.0.1:0", limits=Limits(end_seconds=0.01)) as url,
            lone_leader(tmp_path, members=2, url=url) as lone,
        ):
            putting = asyncio.create_task(lone.put("web/file", b"bytes"))
            await asked.wait()
            now = boot_time()
            if why == "silent":
                lone.standings.pulse.failed("s2", now - 4.0, now - 2.0, 2.0)
                lone.standings.pulse.failed("s2", now - 2.0, now - 1.0, 1.0)
            else:
                known = lone.standing.placement
                alone = msgspec.structs.replace(known, epoch=2, members=known.members[:1])
                await lone.standings.learn_placement(alone)
            await putting
            assert [each.drop for each in lone.mappers.reports] == ([("s2",)] if why == "silent" else [])
            assert lone.standing.disk.dirty(ID) == ()

    asyncio.run(run())


def test_a_change_is_not_made_when_we_lead_with_another_disk_meanwhile(tmp_path: Path) -> None:
    """That came from a server which led in between: the change would lie on a disk that is no copy any more."""
    (tmp_path / "data_2").mkdir()

    async def run() -> None:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def answer(_: web.BaseRequest) -> web.StreamResponse:
            asked.set()
            await goes_on.wait()
            return web.Response(body=msgspec.json.encode(Done()))

        async with (
            asyncio.timeout(100),
            serve_tcp(answer, "127.0.0.1:0", limits=Limits(end_seconds=0.01)) as url,
            lone_leader(tmp_path, members=2, url=url) as lone,
        ):
            begun = lone.standing
            putting = asyncio.create_task(lone.put("web/file", b"bytes"))
            await asked.wait()
            other = lone.standings.shelf.bays["data_2"].disk
            assert other is not None
            own, *others = begun.placement.members
            moved = msgspec.structs.replace(own, disk="data_2", disk_id=other.identity.disk_id)
            await lone.standings.learn_placement(
                msgspec.structs.replace(begun.placement, epoch=3, members=(moved, *others))
            )
            assert lone.standing.bay is not begun.bay
            goes_on.set()
            with pytest.raises(UnavailableError, match="another disk"):
                await putting
            for disk in (begun.disk, other):
                assert disk.find(ID, "web/file") is None

    asyncio.run(run())


def test_after_a_change_that_was_sent_twice_the_next_of_its_key_waits_until_the_first_sending_counts_no_more(
    tmp_path: Path,
) -> None:
    """The first may have stuck on the way: made later, it would bring back what was deleted since."""

    async def run() -> None:
        other_goes_on = asyncio.Event()
        came: list[str] = []

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            body = await request.read()
            (key,) = [each for each in ("web/other", "web/file") if each.encode() in body]
            came.append(key)
            if came == ["web/other", "web/file"]:
                assert request.transport is not None
                request.transport.abort()
            if key == "web/other":
                await other_goes_on.wait()
            return web.Response(body=msgspec.json.encode(Done()))

        async with (
            asyncio.timeout(100),
            serve_tcp(answer, "127.0.0.1:0", limits=Limits(end_seconds=0.01)) as url,
            lone_leader(tmp_path, members=2, url=url) as lone,
        ):
            other = asyncio.create_task(lone.put("web/other", b"slow"))
            while not came:  # noqa: ASYNC110  # waited for once
                await asyncio.sleep(0.01)
            await lone.put("web/file", b"first")
            assert came == ["web/other", "web/file", "web/file"]
            following = asyncio.create_task(lone.put("web/file", b"second"))
            await asyncio.sleep(0.3)
            assert len(came) == 3, "its floor is not above what may still come"
            other_goes_on.set()
            await asyncio.gather(other, following)
            assert came[3:] == ["web/file"]
            assert lone.mappers.reports == []

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
