"""What a leader says of buckets that it does not know."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drystone.fleet.documents import FleetMap
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Mender
from drystone.testing.fleet.lone_leader import LoneLeader, lone_leader


def make_objects(lone: LoneLeader) -> LocalObjects:
    promiser = Promiser(lone.standings, lone.calls, patience=1.0)
    return LocalObjects(lone.leader, promiser, Mender(lone.standings, lone.calls))


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
