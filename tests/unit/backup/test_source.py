"""Plain files as sources, and ranges as runs of chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drystone.backup.source import DeviceSource, chunk_runs
from drystone.base.errors import NotFoundError, UsageError


def test_a_file_is_told_whole(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(range(250)) * 100)
    with DeviceSource(path) as source:
        assert source.size == 25_000
        assert not source.relative
        assert source.extents().tolist() == [[0, 25_000]]
        buffer = np.zeros(600, dtype=np.uint8)
        source.read_into(24_400, buffer)
        assert buffer.tobytes() == path.read_bytes()[24_400:]


def test_an_empty_file_has_no_ranges(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"")
    with DeviceSource(tmp_path / "image") as source:
        assert source.extents().shape == (0, 2)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        DeviceSource(tmp_path / "none").__enter__()
    with pytest.raises(UsageError):
        DeviceSource(tmp_path).__enter__()
    with pytest.raises(UsageError, match="not open"):
        DeviceSource(tmp_path).extents()


@pytest.mark.parametrize(
    ("ranges", "runs"),
    [
        ([], []),
        ([[0, 1]], [[0, 1]]),
        ([[5, 10]], [[0, 2]]),
        ([[0, 10], [10, 10], [40, 1]], [[0, 2], [4, 5]]),
        ([[0, 5], [5, 0], [6, 1], [29, 2]], [[0, 1], [2, 4]]),
    ],
)
def test_runs(ranges: list[list[int]], runs: list[list[int]]) -> None:
    assert chunk_runs(np.array(ranges, dtype=np.uint64).reshape(-1, 2), 10).tolist() == runs
