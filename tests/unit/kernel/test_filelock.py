"""One holder at a time; the lock goes with its holder, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.base.errors import BusyError
from drystone.kernel.filelock import FileLock, locked_folder


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path):
        with pytest.raises(BusyError, match=f"the root is in use by process {os.getpid()}") as caught:
            FileLock(path).take("the root")
        assert caught.value.facts["pid"] == os.getpid()
    lock = FileLock(path)
    lock.take("the root")
    lock.release()
    lock.release()
    assert path.exists()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import os, sys; from pathlib import Path; from drystone.kernel.filelock import FileLock; "
        "FileLock(Path(sys.argv[1])).take('x'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    assert path.read_text().strip().isdigit()
    with FileLock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_folder_is_locked_by_one_and_nothing_is_written_to_it(tmp_path: Path) -> None:
    with locked_folder(tmp_path, "the state"):
        with pytest.raises(BusyError, match="the state is in use"), locked_folder(tmp_path, "the state"):
            pass
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(BlockingIOError, match="its own"), locked_folder(tmp_path, "the state"):
        raise BlockingIOError("its own")
    with locked_folder(tmp_path, "the state"):
        pass
