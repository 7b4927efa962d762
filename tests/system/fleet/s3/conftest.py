"""boto3 on the S3 gateway by HTTP on loopback: over objects in memory, and over a fleet of two servers."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]

from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.documents import Key
from drystone.testing.fleet.background import serving
from drystone.testing.fleet.gateway_server import ADMIN, READER, STRANGER, start_gateway
from drystone.testing.fleet.servers import SECRET, FleetServers

_numbers = itertools.count(1)


@asynccontextmanager
async def _start_fleet(folder: Path) -> AsyncIterator[str]:
    """A fleet; the URL of its second server, which leads about half of the hosts."""
    async with FleetServers(folder) as fleet:
        async with Calls(SECRET) as calls:
            for key in (READER, STRANGER):
                await Mappers(calls, (fleet.mapper_url,)).call("POST", "/internal/keys", key)
        server = fleet.server("s2")
        assert await server.catalog.find_key(STRANGER.access_key) is not None
        yield server.url


@pytest.fixture(scope="session", params=["memory", "fleet"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the gateway."""
    if request.param == "fleet":
        folder = tmp_path_factory.mktemp("fleet")
        with serving(lambda: _start_fleet(folder), "fleet") as url:
            yield url
    else:
        with start_gateway() as server:
            yield server.url


@pytest.fixture(scope="session")
def connect(url: str) -> Iterator[Callable[..., Any]]:
    clients = []

    def make(key: Key, **settings: Any) -> Any:
        usual = {"signature_version": "s3v4", "retries": {"max_attempts": 0}, "s3": {"addressing_style": "path"}}
        config = Config(**{**usual, **settings})
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret,
            region_name="us-east-1",
            config=config,
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def s3(connect: Callable[..., Any]) -> Any:
    return connect(ADMIN)


@pytest.fixture
def bucket(s3: Any) -> str:
    """An empty bucket."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    """An empty bucket with versions."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.fixture
def locked(s3: Any) -> str:
    """An empty bucket with object lock."""
    name = f"locked-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name
