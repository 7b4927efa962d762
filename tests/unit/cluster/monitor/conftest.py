"""Worlds over a database in memory's file system, with one API application for all of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from drystone.cluster.state.database import Database
from drystone.testing.cluster.client import Client, open_client

from .world import World


@pytest.fixture(scope="session")
def api() -> Iterator[tuple[Client, Path]]:
    """A client, and the file of a database with nothing in it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "empty.db"
        with open_client(f"sqlite:///{path}") as opened:
            opened.desk.database.close()
            yield opened, path


@pytest.fixture
def make_world(api: tuple[Client, Path]) -> Iterator[Callable[..., World]]:
    """Makes worlds, each new."""
    opened, empty = api
    with ExitStack() as stack:

        def make(dpvs: int = 2) -> World:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
            shutil.copy(empty, folder / "cluster.db")
            url = f"sqlite:///{folder}/cluster.db"
            database = Database(url)
            database.open()
            stack.callback(database.close)
            opened.desk.database = database
            world = World(folder, opened, url, dpvs=dpvs)
            stack.callback(world.close)
            return world

        yield make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
