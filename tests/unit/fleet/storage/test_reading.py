"""Checked bytes: what a reader holds stays as it was checked."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.files import DiskFiles
from drystone.fleet.disk.sums import PIECE
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Mender, read_checked
from drystone.fleet.storage.settling import Settler
from drystone.fleet.storage.shelf import _THREADS
from drystone.testing.fleet.lone_leader import LoneLeader, lone_leader


class GatedFiles(DiskFiles):
    """Opening a file named `slow` waits for a gate."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.waits, self.gate = threading.Event(), threading.Event()

    def open(self, place: str, *, write: bool = False) -> int:
        if place.endswith("/slow"):
            self.waits.set()
            assert self.gate.wait(120)
        return super().open(place, write=write)


def put_gate(lone: LoneLeader) -> GatedFiles:
    """Have the leader's disk wait."""
    bay = lone.standing.bay
    assert bay.disk is not None
    files = GatedFiles(bay.root)
    bay.disk.close()
    bay.disk = Disk(bay.root, bay.name, files=files)
    bay.disk.open("f")
    return files


def make_objects(lone: LoneLeader) -> LocalObjects:
    lone.standing.replica._promised_until = 0.0  # as if it had been started long ago
    promiser = Promiser(lone.standings, lone.calls, patience=1.0)
    mender = Mender(lone.standings, lone.calls)
    return LocalObjects(lone.leader, promiser, Settler(lone.leader, mender), mender)


async def read_whole(objects: LocalObjects, key: str) -> bytes:
    """As a GET does."""
    info, pieces = await objects.open("ns", key)
    if pieces is None:
        pieces = objects.read("ns", key, info, 0, info.size)
    return b"".join([bytes(each) async for each in pieces])


@pytest.mark.parametrize("opens", [False, True], ids=["read", "open"])
def test_what_one_reader_left_behind_does_not_overwrite_anothers_piece(tmp_path: Path, *, opens: bool) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            files, objects = put_gate(lone), make_objects(lone)
            slow = await lone.put("web/slow", b"S" * PIECE)
            quick = await lone.put("web/quick", b"Q" * PIECE)
            bay = lone.standing.bay

            async def read_slow() -> None:
                if opens:
                    await objects.open("ns", "web/slow")
                else:
                    await anext(aiter(objects.read("ns", "web/slow", slow, 0, PIECE)))

            leaving = asyncio.create_task(read_slow())
            assert await asyncio.to_thread(files.waits.wait, 120)
            leaving.cancel()
            await asyncio.wait({leaving})
            pieces = aiter(objects.read("ns", "web/quick", quick, 0, PIECE))
            held = await anext(pieces)
            files.gate.set()
            all_at_once = threading.Barrier(_THREADS)  # the one that was left has ended by then
            await asyncio.gather(*(bay.run(all_at_once.wait) for _ in range(_THREADS)))
            assert bytes(held) == b"Q" * PIECE

    asyncio.run(run())


def test_buffers_are_used_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            info = await lone.put("web/a", bytes(range(256)) * (10 * PIECE // 256) + b"end")
            mender = Mender(lone.standings, lone.calls)
            taken = set()
            for begin, end in ((0, info.size), (5 * PIECE + 1, 7 * PIECE), (0, 5)):
                got = [bytes(each) async for each in read_checked(mender, lone.standing, info.key, info, begin, end)]
                assert b"".join(got) == (bytes(range(256)) * (10 * PIECE // 256) + b"end")[begin:end]
                taken |= {id(each) for each in mender.buffers._free}
            assert len(taken) == 2

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1, PIECE, 2 * PIECE + 5])
def test_one_step_gives_what_head_and_read_do(tmp_path: Path, size: int) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            objects = make_objects(lone)
            info = await lone.put("web/a", os.urandom(1) * size)
            found, pieces = await objects.open("ns", "web/a")
            assert found == info == await objects.head("ns", "web/a")
            assert (pieces is None) == (size == 0)
            if pieces is not None:
                await pieces.aclose()  # type: ignore[attr-defined]
            whole = b"".join([bytes(each) async for each in objects.read("ns", "web/a", info, 0, size)])
            assert await read_whole(objects, "web/a") == whole
            assert len(whole) == size
            with pytest.raises(S3Error) as caught:
                await objects.open("ns", "web/other")
            assert caught.value.code is Code.NoSuchKey

    asyncio.run(run())


@pytest.mark.parametrize("harm", ["flipped", "gone"])
def test_damage_in_the_only_copy_is_never_handed_out(tmp_path: Path, harm: str) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            objects = make_objects(lone)
            await lone.put("web/a", b"a" * 100)
            path = lone.standing.disk.path_of(lone.standing.placement.id, "web/a")
            if harm == "gone":
                path.unlink()
            else:
                path.write_bytes(b"b" * 100)
            with pytest.raises(DrystoneError, match="in every copy"):
                await read_whole(objects, "web/a")

    asyncio.run(run())


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_reader_that_nobody_takes_is_closed(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            await lone.put("web/a", b"a" * 100)
            disk, id_ = lone.standing.disk, lone.standing.placement.id
            disk.open_version(id_, "web/a").close()
            before = open_files()
            for _ in range(5):
                disk.open_version(id_, "web/a")
                disk.receive()
            assert open_files() == before
            assert not list((disk.root / ".drystone/temp").iterdir())

    asyncio.run(run())
