"""A disk in a folder, and an index of its own: open."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from drystone.fleet.disk.index import Index
from drystone.testing.fleet.disk_world import DiskWorld, UnsyncedFiles, make_disk, quick_folder


@pytest.fixture
def world() -> Iterator[DiskWorld]:
    with quick_folder() as folder:
        disk = make_disk(folder / "data_1", UnsyncedFiles(folder / "data_1"))
        yield DiskWorld(disk)
        disk.close()


@pytest.fixture
def commits() -> list[int]:
    """Grows with every commit of `index`."""
    return []


@pytest.fixture
def index(tmp_path: Path, commits: list[int]) -> Iterator[Index]:
    index = Index(tmp_path / "index.db", lambda each: commits.append(each.total_changes))
    index.create()
    index.open()
    yield index
    index.close()


@contextlib.contextmanager
def _hold_up(index: Index) -> Iterator[Callable[[int], None]]:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(_: sqlite3.Connection) -> None:
        begun.set()
        assert goes_on.wait(120)

    def wait_for(steps: int) -> None:
        deadline = time.monotonic() + 120
        while index._steps.qsize() < steps:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    thread = threading.Thread(target=index.write, args=(slow,))
    thread.start()
    assert begun.wait(120)
    try:
        yield wait_for
    finally:
        goes_on.set()
        thread.join(120)


@pytest.fixture
def hold_up(index: Index) -> Callable[[], AbstractContextManager[Callable[[int], None]]]:
    """Keeps the thread of `index` from going on, under the block; what it gives waits until so many steps wait."""
    return functools.partial(_hold_up, index)
