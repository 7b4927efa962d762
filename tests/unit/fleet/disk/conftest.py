"""A disk in a folder, open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drystone.testing.fleet.disk_world import DiskWorld, UnsyncedFiles, make_disk, quick_folder


@pytest.fixture
def world() -> Iterator[DiskWorld]:
    with quick_folder() as folder:
        disk = make_disk(folder / "data_1", UnsyncedFiles(folder / "data_1"))
        yield DiskWorld(disk)
        disk.close()
