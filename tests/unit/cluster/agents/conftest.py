"""Where these tests have their disks and notes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

MEMORY = Path("/dev/shm")
ROOM = 64 << 20
"""Bytes. Disks are files with holes: a few KiB each."""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is room: they sync thousands of times, and none asks what a power cut would leave."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield tmp_path
        return
    with TemporaryDirectory(prefix="drystone-", dir=MEMORY) as folder:
        yield Path(folder)
