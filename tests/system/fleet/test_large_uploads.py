"""Uploads that take longer to write than a change may take: in parts, where file systems cannot share blocks between
files and the parts must be copied; and as one body, where disks are slow."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from drystone.fleet.disk import assembling, disk, incoming
from drystone.fleet.disk.files import DiskFiles
from drystone.fleet.documents import Placement
from drystone.fleet.objects import PutOptions
from drystone.fleet.storage import links, shelf, upload_parts
from drystone.fleet.storage.server import Running
from drystone.testing.fleet.bodies import PIECE, BytesBody, make_bytes, put, read
from drystone.testing.fleet.servers import FleetServers
from drystone.testing.fleet.slow_files import SlowFiles

PARTS, STEP = 10, 0.3
"""Parts of a MiB, and seconds that it takes to copy one."""
KEY = "web/large"
DATA = make_bytes(PARTS * PIECE, 5)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    copy = DiskFiles.copy

    def copy_slowly(self: DiskFiles, *how: Any) -> None:
        time.sleep(STEP)
        copy(self, *how)

    monkeypatch.setattr(DiskFiles, "copy", copy_slowly)
    monkeypatch.setattr(assembling, "STEP", PIECE)
    monkeypatch.setattr(upload_parts, "_QUICK", 0)
    return monkeypatch


def placement_of(server: Running) -> Placement:
    found = server.standings.atlas.find("bucket", "web")
    assert found is not None
    return found


async def put_in_parts(server: Running) -> None:
    """An upload of DATA in parts."""
    upload = (await server.objects.begin_upload("bucket", KEY, PutOptions())).upload_id
    parts = []
    for number in range(PARTS):
        body = BytesBody(DATA[number * PIECE : (number + 1) * PIECE])
        made = await server.objects.put_part("bucket", KEY, upload, number + 1, body, PutOptions())
        parts.append((made.number, made.etag))
    await server.objects.complete_upload("bucket", KEY, upload, tuple(parts), PutOptions())


def test_parts_are_put_together_for_longer_than_a_change_or_a_step_on_a_disk_may_take(
    tmp_path: Path, slow: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with FleetServers(tmp_path, servers=2) as fleet:
            server = fleet.server("s1")
            await server.catalog.create_bucket("bucket", "owner", {})
            await put(server.objects, "bucket", "web/first", b"x")
            before = placement_of(server)
            slow.setattr(links, "ANSWER_SECONDS", PARTS * STEP / 2)
            slow.setattr(shelf, "_SECONDS", PARTS * STEP / 2)
            await put_in_parts(server)
            assert placement_of(server) == before, "nobody was dropped"
            assert await read(server.objects, "bucket", await server.objects.head("bucket", KEY)) == DATA

    asyncio.run(run())
    paths = list(tmp_path.glob("s*/data_*/*/web/large"))
    assert [each.read_bytes() for each in paths] == [DATA, DATA]
    assert list(tmp_path.glob("s*/data_*/.drystone/temp/*")) == []


def test_a_body_is_written_for_longer_than_a_change_or_a_step_on_a_disk_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 s a copy, of which half may be left for the change."""
    size = 4 * PARTS * PIECE
    monkeypatch.setattr(disk, "DiskFiles", lambda root: SlowFiles(root, rate=size / 4))
    monkeypatch.setattr(incoming, "WRITE_BACK", PIECE)
    data = make_bytes(size, 6)

    async def run() -> None:
        async with FleetServers(tmp_path, servers=2, disks=1) as fleet:
            server = fleet.server("s1")
            await server.catalog.create_bucket("bucket", "owner", {})
            await put(server.objects, "bucket", "web/first", b"x")
            before = placement_of(server)
            monkeypatch.setattr(links, "ANSWER_SECONDS", 2.0)
            monkeypatch.setattr(shelf, "_SECONDS", 2.0)
            await put(server.objects, "bucket", KEY, data)
            assert placement_of(server) == before, "nobody was dropped"

    asyncio.run(run())
    assert [each.read_bytes() == data for each in tmp_path.glob("s*/data_*/*/web/large")] == [True, True]
