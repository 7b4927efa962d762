"""The S3 server, once for all tests of this folder; each test has a bucket of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drystone.store import open_store
from drystone.store.clients import Patience
from drystone.testing.proxy import FaultyProxy
from drystone.testing.s3 import S3Server, start_server, why_absent
from drystone.testing.stores import check_listing


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.make_bucket()


@pytest.fixture(scope="session")
def crowded(server: S3Server) -> str:
    """A bucket in which `check_listing` passed below x/: more than a page of objects. Made once: it takes a while."""
    name = server.make_bucket()
    check_listing(open_store(f"s3://{name}@us-east-1/x/", environ=server.environ()))
    return name


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.port) as listening:
        yield listening


@pytest.fixture
def patience() -> Patience:
    """Short enough for a test, long enough for a loaded machine."""
    return Patience(silence=6.0, answer=60.0, first=4.0, again=20.0)
