"""Plain files as sources."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from drystone.backup.source import DeviceSource
from drystone.base.errors import MismatchError, NotFoundError, UsageError


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


def test_a_file_that_stays_as_it_is_gives_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(100_000))
    with DeviceSource(path) as source:
        source.read_into(0, np.zeros(100_000, dtype=np.uint8))
        assert source.warnings() == []


def test_a_file_that_is_written_to_or_grows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(100_000))
    for mode, data in (("r+b", b"changed"), ("ab", b"more")):
        with DeviceSource(path) as source:
            with path.open(mode) as file:
                file.write(data)
            (warning,) = source.warnings()
            assert "was changed while it was read" in warning


def test_a_file_is_known_again_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"some bytes")

    def look() -> str:
        with DeviceSource(path) as source:
            return source.identity

    first = look()
    assert first
    assert look() == first
    time.sleep(0.02)  # the kernel's times go on by its ticks
    path.write_bytes(b"SOME bytes")
    second = look()
    assert second != first
    os.utime(path, ns=(0, 0))
    assert look() != second, "who sets the time back is seen by the other time"
    path.rename(tmp_path / "other")
    path.write_bytes(b"SOME bytes")
    os.utime(path, ns=(0, 0))
    assert look() != second


def test_a_file_that_becomes_shorter_is_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(100_000))
    with DeviceSource(path) as source:
        os.truncate(path, 5000)
        with pytest.raises(MismatchError, match="shorter while it was read: 5000 bytes, 100000 before"):
            source.read_into(0, np.zeros(100_000, dtype=np.uint8))
