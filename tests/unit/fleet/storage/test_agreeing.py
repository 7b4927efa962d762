"""What is shown while a member compares itself: that member has it by then, so it stays whoever leads next."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from drystone.base.errors import ExhaustedError, UnavailableError
from drystone.fleet.disk.changes import Change, Entry
from drystone.fleet.documents import Bucket, FleetMap, MemberState
from drystone.fleet.objects import Conditions, ObjectInfo, PutOptions
from drystone.fleet.s3.errors import S3Error
from drystone.fleet.storage.failures import ElsewhereError, encode_failure
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.member import Followed
from drystone.fleet.storage.members import Done, FindVersions
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.settling import VERSIONS_PATH, Settler
from drystone.fleet.storage.standing import boot_time
from drystone.testing.fleet.bodies import BytesBody
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader
from drystone.wire.tcp import Limits, serve_tcp

KEY = "web/file"


class OtherMember:
    """A member that says what versions it has, and takes every change.

    :ivar versions: of any key. :ivar silent: whether it says nothing of them, :ivar hangs: or does not answer.
    :ivar full: whether its disk has no room for a change.
    :ivar came: requests, by what they are, :ivar questions: and those for versions. :ivar takes: what versions it has
        after a change; None: those it had.
    """

    def __init__(self) -> None:
        self.versions: list[Entry] = []
        self.silent = False
        self.hangs = False
        self.full = False
        self.came: list[str] = []
        self.questions: list[FindVersions] = []
        self.takes: Callable[[], list[Entry]] | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.path != VERSIONS_PATH:
            self.came.append("removal" if b'"remove"' in body else "change")
            if self.full:
                status, body = encode_failure(ExhaustedError("the disk is full"))
                return web.Response(status=status, body=body)
            return web.Response(body=msgspec.json.encode(Done()))
        self.came.append("question")
        self.questions.append(msgspec.json.decode(body, type=FindVersions))
        if self.silent:
            return web.Response(status=503, body=b"{}")
        if self.hangs:
            await asyncio.Future[None]()
        versions = self.takes() if self.takes and "change" in self.came else self.versions
        return web.Response(body=msgspec.json.encode(versions))


@contextlib.asynccontextmanager
async def leading(folder: Path, state: MemberState = "comparing") -> AsyncIterator[tuple[LoneLeader, OtherMember]]:
    """A leader in its second epoch, with an object of the first; the other member's answers count from then on."""
    member = OtherMember()
    async with (
        asyncio.timeout(100),
        serve_tcp(member.handle, "127.0.0.1:0", limits=Limits(end_seconds=0.01)) as url,
        lone_leader(folder, members=2, url=url) as lone,
    ):
        await lone.put(KEY, b"bytes")
        known = lone.standing.placement
        own, other = known.members
        members = (own, msgspec.structs.replace(other, state=state))
        newer = msgspec.structs.replace(known, epoch=known.epoch + 1, members=members)
        servers = tuple(lone.standings.atlas.servers.values())
        map_ = FleetMap("f", 2, 2, servers=servers, placements=(newer,), buckets=(Bucket("ns", "shared", "", 0.0),))
        await lone.standings.learn_map(map_)
        lone.mappers.placement = newer
        lone.standing.replica._promised_until = 0.0  # as if it had been started long ago
        lone.standing.replica.promised_by(other.server, newer.epoch, boot_time() + 60)
        member.came.clear()
        yield lone, member


def make_objects(lone: LoneLeader) -> LocalObjects:
    mender = Mender(lone.standings, lone.calls)
    promiser = Promiser(lone.standings, lone.calls, patience=0.5)
    return LocalObjects(lone.leader, promiser, Settler(lone.leader, mender), mender)


def own_versions(lone: LoneLeader) -> list[Entry]:
    entry = lone.standing.disk.find(ID, KEY)
    return [] if entry is None else [entry]


async def head(objects: LocalObjects) -> object:
    return (await objects.head("ns", KEY)).digest


async def get(objects: LocalObjects) -> object:
    info, _ = await objects.open("ns", KEY)
    return info.digest


async def put_if_there(objects: LocalObjects) -> object:
    return await objects.put("ns", KEY, BytesBody(b"other"), PutOptions(conditions=Conditions(if_match=("*",))))


async def delete(objects: LocalObjects) -> object:
    return await objects.delete("ns", KEY)


async def delete_if_there(objects: LocalObjects) -> object:
    return await objects.delete("ns", KEY, conditions=Conditions(if_match=("*",)))


async def update(objects: LocalObjects) -> object:
    return await objects.update("ns", KEY, None, {"tags": {"a": "b"}})


OPERATIONS = [head, get, put_if_there, delete, delete_if_there, update]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_a_comparing_member_lacks_is_sent_to_it_before_it_is_shown(
    tmp_path: Path, operation: Callable[[LocalObjects], Awaitable[object]]
) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            (before,) = own_versions(lone)
            assert await operation(make_objects(lone))
            assert member.came[:3] == ["question", "question", "change"], "asked, settled: asked, and sent"
            made = own_versions(lone)
            assert not made or made[0].info.seq > before.info.seq

    asyncio.run(run())


def test_the_conditions_of_an_upload_in_parts_are_about_what_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            objects = make_objects(lone)
            uploads = [(await objects.begin_upload("ns", KEY, PutOptions())).upload_id for _ in range(2)]
            parts = [
                ((1, (await objects.put_part("ns", KEY, upload, 1, BytesBody(b"other"), PutOptions())).etag),)
                for upload in uploads
            ]
            member.came.clear()
            options = PutOptions(conditions=Conditions(if_match=("*",)))
            await objects.complete_upload("ns", KEY, uploads[0], parts[0], options)
            assert member.came[:3] == ["question", "question", "change"]
            member.silent = True
            with pytest.raises(UnavailableError):
                await objects.complete_upload("ns", KEY, uploads[1], parts[1], options)

    asyncio.run(run())


def test_versions_that_are_alike_are_not_sent_again(tmp_path: Path) -> None:
    """One of them may be damaged in every copy: that must not stand in the way of the others."""

    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            member.versions = own_versions(lone)
            kept = member.versions[0].info.seq

            def describe(seq: int) -> Change:
                newer = ObjectInfo(KEY, 0, 2.0, "", "", seq, version_id="newer", delete_marker=True)
                return Change("put", ID, newer, seq)

            await lone.leader.make(lone.standing, describe)
            member.came.clear()
            assert (await make_objects(lone).head("ns", KEY)).delete_marker
            assert member.came == ["question", "question", "change"], "the marker, and nothing else"
            old = lone.standing.disk.find(ID, KEY, "null")
            assert old is not None
            assert old.info.seq == kept

    asyncio.run(run())


@pytest.mark.parametrize("operation", [head, get])
def test_what_it_has_is_shown_at_once(tmp_path: Path, operation: Callable[[LocalObjects], Awaitable[object]]) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            member.versions = own_versions(lone)
            assert await operation(make_objects(lone)) == member.versions[0].info.digest
            assert member.came == ["question"]
            assert own_versions(lone) == member.versions

    asyncio.run(run())


def test_an_older_number_of_the_same_version_is_not_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            (entry,) = own_versions(lone)
            member.versions = [Entry(entry.info, entry.made)]
            await lone.put(KEY, b"newer")
            member.came.clear()
            await make_objects(lone).head("ns", KEY)
            assert "change" in member.came

    asyncio.run(run())


def test_what_is_not_there_is_said_once_the_member_has_it_no_more_either(tmp_path: Path) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            objects = make_objects(lone)
            member.versions = own_versions(lone)
            await objects.delete("ns", KEY)
            member.came.clear()
            with pytest.raises(S3Error, match="NoSuchKey"):
                await objects.head("ns", KEY)
            assert member.came == ["question", "question", "removal"]

    asyncio.run(run())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_shown_while_the_member_does_not_answer(
    tmp_path: Path, operation: Callable[[LocalObjects], Awaitable[object]]
) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            member.silent = True
            before = own_versions(lone)
            with pytest.raises(UnavailableError):
                await operation(make_objects(lone))
            assert own_versions(lone) == before

    asyncio.run(run())


def test_readers_at_once_have_it_sent_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            objects = make_objects(lone)
            member.takes = functools.partial(own_versions, lone)
            await asyncio.gather(*(head(objects) for _ in range(8)))
            assert member.came.count("change") == 1

    asyncio.run(run())


def test_the_question_tells_of_the_epoch(tmp_path: Path) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            member.versions = own_versions(lone)
            await head(make_objects(lone))
            assert [each.known for each in member.questions] == [lone.standing.placement]

    asyncio.run(run())


def test_who_is_asked_goes_by_the_epoch_of_the_question(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path, members=2) as lone:
            followed, known = Followed(lone.standings), lone.standing.placement
            newer = msgspec.structs.replace(known, epoch=known.epoch + 1, leader="s2")
            assert await followed.versions(FindVersions(ID, KEY, newer)) == []
            assert lone.standings.newest(ID) == newer
            with pytest.raises(ElsewhereError):
                await followed.versions(FindVersions(ID, KEY, known))

    asyncio.run(run())


def test_a_member_whose_disk_hangs_is_dropped_and_the_read_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            member.hangs = True
            call = lone.calls.call
            monkeypatch.setattr(lone.calls, "call", functools.partial(call, seconds=0.2))
            assert await get(make_objects(lone)) == own_versions(lone)[0].info.digest
            assert [each.drop for each in lone.mappers.reports] == [("s2",)]
            assert [each.server for each in lone.standing.placement.members] == ["s1"]

    asyncio.run(run())


def test_a_member_whose_disk_is_full_is_not_dropped_and_only_what_differs_waits_for_room(tmp_path: Path) -> None:
    """With fewer copies the fleet would hold no more."""

    async def run() -> None:
        async with leading(tmp_path) as (lone, member):
            objects = make_objects(lone)
            member.full = True
            with pytest.raises(UnavailableError):
                await head(objects)
            assert "change" in member.came
            assert [each.server for each in lone.standing.placement.members] == ["s1", "s2"]
            member.versions = own_versions(lone)
            assert await head(objects)
            member.versions = []
            member.full = False
            assert await get(objects)

    asyncio.run(run())


@pytest.mark.parametrize("state", ["in_sync", "copying"])
def test_of_members_that_do_not_compare_themselves_nothing_is_asked(tmp_path: Path, state: MemberState) -> None:
    async def run() -> None:
        async with leading(tmp_path, state) as (lone, member):
            assert await head(make_objects(lone))
            assert member.came == []

    asyncio.run(run())
