"""Parts that a member puts together before the change that names them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import NotFoundError
from drystone.fleet.disk.changes import Change, PartRecord
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.files import DiskFiles
from drystone.fleet.objects import ObjectInfo, PutOptions, UploadInfo
from drystone.fleet.replica import make_seq
from drystone.fleet.storage import gathering
from drystone.fleet.storage.gathering import Gatherings
from drystone.fleet.storage.member import carry_out
from drystone.fleet.storage.members import Assemble, Done, Gather, Gathered
from drystone.testing.fleet.bodies import digest_of
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader

DATA = (b"first", b"second")


class GatedFiles(DiskFiles):
    """Nothing is copied while a gate is shut."""

    gate = threading.Event()

    def copy(self, *how: Any) -> None:
        assert self.gate.wait(120)
        super().copy(*how)


@contextlib.asynccontextmanager
async def holding(folder: Path) -> AsyncIterator[tuple[LoneLeader, Gather]]:
    """A server with an upload of two parts, which can be copied; and what its leader says."""
    async with asyncio.timeout(100), lone_leader(folder) as lone:
        bay = lone.standing.bay
        lone.standing.disk.close()
        bay.disk = Disk(bay.root, bay.name, files=GatedFiles(bay.root))
        bay.disk.open("f")
        GatedFiles.gate.set()
        bay.disk.begin_upload(ID, UploadInfo("web/x", "u1", 5.0, PutOptions()))
        for number, data in enumerate(DATA, start=1):
            body = bay.disk.receive(size=len(data))
            body.write(data)
            sums = body.finish()
            bay.disk.put_part(ID, "u1", PartRecord(number, len(data), sums.md5, 1.0, {}, sums.digest), body)
        yield lone, Gather(lone.standing.placement, "u1", (1, 2))


def left_over(folder: Path) -> list[Path]:
    return list(folder.glob("data_1/.drystone/temp/*"))


def take(known: Gatherings, lone: LoneLeader, wanted: Gather) -> object:
    return known.take(lone.standing.disk, ID, wanted.upload_id, wanted.numbers)


def test_who_asks_is_told_when_it_is_whole_and_the_change_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_WAIT_SECONDS", 0.1)

    async def run() -> None:
        async with holding(tmp_path) as (lone, wanted):
            known = Gatherings()
            GatedFiles.gate.clear()
            assert await known.ask(lone.standing, wanted) == Gathered(whole=False)
            assert take(known, lone, wanted) is None
            GatedFiles.gate.set()
            while not (await known.ask(lone.standing, wanted)).whole:
                pass
            disk = lone.standing.disk
            body = known.take(disk, ID, "u1", (1, 2))
            assert body is not None
            assert take(known, lone, wanted) is None, "it is taken once"
            GatedFiles.gate.clear()  # nothing is put together again
            seq, data = make_seq(1, 99), b"".join(DATA)
            change = Change("put", ID, ObjectInfo("web/x", len(data), 1.0, "", digest_of(data), seq), seq)
            order = Assemble(wanted.placement, change, "u1", (1, 2))
            assert await lone.standing.bay.run(carry_out, disk, order, None, None, None, body) == Done()
            assert (tmp_path / "data_1/primary/web/x").read_bytes() == data

    asyncio.run(run())
    assert left_over(tmp_path) == []


def test_what_cannot_be_put_together_is_said_and_tried_anew_when_it_is_asked_for_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with holding(tmp_path) as (lone, wanted):
            known, lacking = Gatherings(), Gather(wanted.placement, "u1", (1, 3))
            for _ in range(2):
                with pytest.raises(NotFoundError, match="no part 3"):
                    await known.ask(lone.standing, lacking)
            assert known.take(lone.standing.disk, ID, "u1", (1, 3)) is None
            assert left_over(tmp_path) == []

    asyncio.run(run())


def test_what_nobody_asks_for_any_more_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_LOOK_SECONDS", 0.01)

    async def run() -> None:
        async with holding(tmp_path) as (lone, wanted):
            known = Gatherings()
            running = asyncio.create_task(known.run())
            assert (await known.ask(lone.standing, wanted)).whole
            await asyncio.sleep(0.1)
            assert len(left_over(tmp_path)) == 1
            monkeypatch.setattr(gathering, "_KEPT_SECONDS", 0.0)
            assert (await known.ask(lone.standing, wanted)).whole
            while left_over(tmp_path):  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)
            assert take(known, lone, wanted) is None
            monkeypatch.setattr(gathering, "_KEPT_SECONDS", 60.0)
            assert (await known.ask(lone.standing, wanted)).whole
            running.cancel()
            await asyncio.wait([running])
            assert left_over(tmp_path) == [], "the server ends"

    asyncio.run(run())


def test_what_lies_on_a_disk_that_was_put_away_is_not_found(tmp_path: Path) -> None:
    async def run() -> None:
        async with holding(tmp_path) as (lone, wanted):
            known = Gatherings()
            assert (await known.ask(lone.standing, wanted)).whole
            bay = lone.standing.bay
            lone.standing.disk.close()
            bay.disk = Disk(bay.root, bay.name)
            bay.disk.open("f")
            assert take(known, lone, wanted) is None
            assert (await known.ask(lone.standing, wanted)).whole
            body = known.take(bay.disk, ID, "u1", (1, 2))
            assert body is not None
            assert (bay.root / body.place).read_bytes() == b"".join(DATA)
            body.abandon()

    asyncio.run(run())
