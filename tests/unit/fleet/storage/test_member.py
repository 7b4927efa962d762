"""A member's side of a change: what it may not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drystone.base.errors import NotFoundError
from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.disk.changes import Change
from drystone.fleet.documents import Member, Placement
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.replica import make_seq
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.frames import FrameReader, frame_data, frame_document
from drystone.fleet.storage.member import Followed
from drystone.fleet.storage.members import Apply, Begin, Done
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.standing import Standings

FLEET = "f"


def placement(epoch: int, leader: str, disk_id: str, *, state: Any = "in_sync") -> Placement:
    members = (
        Member("s1", "data_1", "other", "primary", "in_sync"),
        Member("s2", "data_1", disk_id, "secondary", state),
    )
    return Placement("p1", "ns", "web", "web", "shared", epoch, leader, members)


def frames(known: Placement, data: bytes, count: int = 1, floor: int = 0) -> FrameReader:
    async def stream() -> AsyncIterator[bytes]:
        from blake3 import blake3

        digest = blake3(blake3(data).digest()).hexdigest()
        info = ObjectInfo("web/file", len(data), 1.0, "etag", digest, make_seq(known.epoch, count))
        yield frame_document(msgspec.json.encode(Begin(known, len(data))))
        yield frame_data(data) + data
        yield frame_document(msgspec.json.encode(Apply(known, Change("put", known.id, info, info.seq), floor)))

    return FrameReader(stream())


def with_member(folder: Path, action: Callable[[Standings, str], Any]) -> None:
    async def run() -> None:
        (folder / "data_1").mkdir()
        shelf = Shelf(folder, folder / "state")
        shelf.find_folders()
        assert await shelf.open(FLEET)
        try:
            standings = Standings("s2", Atlas(folder / "state"), shelf, Mappers(Calls("s"), ("http://127.0.0.1:9",)))
            bay = shelf.bays["data_1"]
            assert bay.disk is not None
            await action(standings, bay.disk.identity.disk_id)
        finally:
            await shelf.close()

    asyncio.run(run())


def test_a_change_of_the_leader_is_done(tmp_path: Path) -> None:
    async def check(standings: Standings, disk_id: str) -> None:
        assert await Followed(standings).change(frames(placement(1, "s1", disk_id), b"bytes")) == Done()
        standing = standings.find("p1")
        assert standing is not None
        entry = standing.disk.find("p1", "web/file")
        assert entry is not None
        assert entry.info.size == 5

    with_member(tmp_path, check)


def test_a_change_of_an_older_epoch_is_refused_with_the_newer_placement(tmp_path: Path) -> None:
    async def check(standings: Standings, disk_id: str) -> None:
        newer = placement(2, "s2", disk_id)
        await standings.learn_placement(newer)
        with pytest.raises(ElsewhereError) as raised:
            await Followed(standings).change(frames(placement(1, "s1", disk_id), b"bytes"))
        assert raised.value.placement == newer

    with_member(tmp_path, check)


@pytest.mark.parametrize("first", [True, False])
def test_who_is_made_leader_while_the_disk_works_does_not_answer_the_old_one(tmp_path: Path, first: bool) -> None:
    async def check(standings: Standings, disk_id: str) -> None:
        await standings.learn_placement(placement(1, "s1", disk_id))
        standing = standings.find("p1")
        assert standing is not None
        apply = standing.disk.apply
        loop = asyncio.get_running_loop()
        newer = placement(2, "s2", disk_id)

        def apply_slowly(*args: Any, **kwargs: Any) -> bool:
            if first:
                asyncio.run_coroutine_threadsafe(standings.learn_placement(newer), loop).result(120)
            result = apply(*args, **kwargs)
            if not first:
                asyncio.run_coroutine_threadsafe(standings.learn_placement(newer), loop).result(120)
            return result

        standing.disk.apply = apply_slowly  # type: ignore[method-assign]
        with pytest.raises(ElsewhereError):
            await Followed(standings).change(frames(placement(1, "s1", disk_id), b"bytes"))
        assert standings.lead("p1").placement == newer
        assert (standing.disk.find("p1", "web/file") is None) == first

    with_member(tmp_path, check)


def test_a_change_that_its_leader_has_given_up_is_not_made_any_more(tmp_path: Path) -> None:
    async def check(standings: Standings, disk_id: str) -> None:
        followed, known = Followed(standings), placement(1, "s1", disk_id)
        late = frames(known, b"late", count=5, floor=1)
        await followed.change(frames(known, b"after", count=6, floor=make_seq(1, 6)))
        standing = standings.find("p1")
        assert standing is not None
        gone = ObjectInfo("web/file", 0, 1.0, "", "", make_seq(1, 7))
        standing.disk.apply(Change("remove", "p1", gone, 0))
        with pytest.raises(ElsewhereError):
            await followed.change(late)
        assert standing.disk.find("p1", "web/file") is None

    with_member(tmp_path, check)


def test_who_holds_nothing_says_so(tmp_path: Path) -> None:
    async def check(standings: Standings, _: str) -> None:
        with pytest.raises(NotFoundError):
            await Followed(standings).change(frames(placement(1, "s1", "another-disk"), b"bytes"))

    with_member(tmp_path, check)


def test_what_was_learned_is_there_after_a_start(tmp_path: Path) -> None:
    async def check(standings: Standings, disk_id: str) -> None:
        await standings.learn_placement(placement(3, "s1", disk_id))
        await standings.learn_placement(placement(2, "s2", disk_id))
        again = Standings("s2", Atlas(tmp_path / "none"), standings.shelf, Mappers(Calls("s"), ("http://127.0.0.1:9",)))
        await again.load()
        found = again.find("p1")
        assert found is not None
        assert (found.placement.epoch, found.placement.leader) == (3, "s1")

    with_member(tmp_path, check)
