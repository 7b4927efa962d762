"""What a leader says of buckets that it does not know, and of placements that it is about to know."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from drystone.fleet.documents import FleetMap
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.settling import Settler
from drystone.testing.fleet.lone_leader import ID, LoneLeader, lone_leader


def make_objects(lone: LoneLeader) -> LocalObjects:
    promiser = Promiser(lone.standings, lone.calls, patience=30.0)
    mender = Mender(lone.standings, lone.calls)
    return LocalObjects(lone.leader, promiser, Settler(lone.leader, mender), mender)


def test_a_bucket_that_nobody_can_be_asked_about_is_not_said_to_be_missing(tmp_path: Path) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            with pytest.raises(S3Error) as raised:
                await make_objects(lone).delete("ns", "web/file")
            assert raised.value.code is Code.SlowDown

    asyncio.run(run())


@pytest.mark.parametrize(("recovering", "code"), [(True, Code.SlowDown), (False, Code.NoSuchBucket)])
def test_a_bucket_that_a_map_lacks_is_missing_only_when_the_map_is_whole(
    tmp_path: Path, recovering: bool, code: Code
) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            placements = tuple(lone.standings.atlas.placements())
            lone.mappers.map = FleetMap("f", 2, 2, placements=placements, recovering=recovering)
            with pytest.raises(S3Error) as raised:
                await make_objects(lone).delete("ns", "web/file")
            assert raised.value.code is code

    asyncio.run(run())


def test_who_is_about_to_lead_by_the_map_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with lone_leader(tmp_path) as lone:
            led = lone.standings.atlas.placement(ID)
            assert led is not None
            own = led.member(lone.standings.server)
            assert own is not None
            new = msgspec.structs.replace(led, id="p2", host="new", folder="new", epoch=1, members=(own,))
            disk = lone.standing.disk
            gate, hold = threading.Event(), disk.hold
            monkeypatch.setattr(disk, "hold", lambda *args: (gate.wait(120), hold(*args)))
            learning = asyncio.create_task(lone.standings.learn_map(FleetMap("f", 9, 9, placements=(led, new))))
            async with asyncio.timeout(60):
                while lone.standings.atlas.find("ns", "new") is None:  # noqa: ASYNC110  # nothing tells
                    await asyncio.sleep(0.001)
            asking = asyncio.create_task(make_objects(lone).head("ns", "new/file"))
            await asyncio.sleep(0.05)
            gate.set()
            with pytest.raises(S3Error) as raised:
                await asking
            assert raised.value.code is Code.NoSuchKey, "it is not sent to another server, which would send it back"
            await learning

    asyncio.run(run())
