"""Loop devices, up to where the kernel begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, NotFoundError, UsageError
from drystone.kernel.loop import LoopStatus, attach, detach, find_by_file, pack_status, parse_status


def test_the_status_is_as_long_as_the_kernels_and_comes_back() -> None:
    status = LoopStatus(offset=512, size_limit=4096, flags=5, file_name=b"/srv/file")
    data = pack_status(status)
    assert len(data) == 232
    assert parse_status(data) == status


def test_a_long_file_name_is_cut_with_room_for_its_end() -> None:
    assert parse_status(pack_status(LoopStatus(file_name=b"x" * 100))).file_name == b"x" * 63


def test_a_short_status_is_damage() -> None:
    with pytest.raises(DamagedError):
        parse_status(bytes(231))


def test_files_that_cannot_be_a_device(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        attach(str(tmp_path / "missing"))
    with pytest.raises(UsageError):
        attach(str(tmp_path))
    with pytest.raises(UsageError):
        attach("/dev/null")
    with pytest.raises(NotFoundError):
        find_by_file(str(tmp_path / "missing"))
    with pytest.raises(NotFoundError):
        detach(str(tmp_path / "missing"))


def test_sizes_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(4096))
    with pytest.raises(UsageError, match="512, 1024, 2048, 4096"):
        attach(str(file), block_size=1000)
    with pytest.raises(UsageError):
        attach(str(file), offset=-1)
