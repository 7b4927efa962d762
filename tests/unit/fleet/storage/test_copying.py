"""The leader's part in copying: whom it gives pages, and whom it takes for complete."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drystone.fleet.storage.copying import CopySource
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.members import ComparePages, CopyEnded, FindUploads, SendUpload, Settle
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.settling import Settler
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader


def make_source(lone: LoneLeader) -> CopySource:
    return CopySource(lone.leader, Settler(lone.leader, Mender(lone.standings, lone.calls)))


def test_a_page_has_what_is_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            info = await lone.put("web/file", b"bytes")
            await lone.standings.learn_placement(lone.with_copying("s2", "disk-2"))
            page = await make_source(lone).compare(ComparePages(ID, 2, "s2", "disk-2", "", 10))
            assert [(each.key, each.seq, each.digest) for each in page.entries] == [("web/file", info.seq, info.digest)]
            assert page.as_of >= info.seq

    asyncio.run(run())


@pytest.mark.parametrize(
    "who", [(ID, 1, "s2", "disk-2"), (ID, 2, "s3", "disk-2"), (ID, 2, "s2", "disk-of-an-earlier-database")]
)
def test_who_copies_in_another_epoch_or_to_another_disk_is_sent_away(
    tmp_path: Path, who: tuple[str, int, str, str]
) -> None:
    """What it compared is another copy than the one that would be entered as in sync."""

    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            await lone.standings.learn_placement(lone.with_copying("s2", "disk-2"))
            source = make_source(lone)
            for call in (
                source.compare(ComparePages(*who, "", 10)),
                source.settle(Settle(*who, ("web/file",))),
                source.uploads(FindUploads(*who)),
                source.send_upload(SendUpload(*who, "an-upload", 1)),
                source.end(CopyEnded(*who)),
            ):
                with pytest.raises(ElsewhereError):
                    await call
            assert lone.mappers.reports == []
            assert [each.state for each in lone.standing.placement.members] == ["in_sync", "copying"]

    asyncio.run(run())
