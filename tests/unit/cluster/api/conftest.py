"""The API over a database in a file: the application is built once, the database is new for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.cluster.state.database import Database
from drystone.testing.cluster.client import Client, open_client


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A client, and the file of a database with nothing in it."""
    path = tmp_path_factory.mktemp("cluster") / "empty.db"
    with open_client(f"sqlite:///{path}") as opened:
        opened.desk.database.close()
        yield opened, path


@pytest.fixture
def client(tmp_path: Path, api: tuple[Client, Path]) -> Iterator[Client]:
    opened, empty = api
    shutil.copy(empty, tmp_path / "cluster.db")
    database = Database(f"sqlite:///{tmp_path}/cluster.db")
    database.open()
    opened.desk.database = database
    yield opened
    database.close()
