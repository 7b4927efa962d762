"""Bytes are written back while others come; where the call is missing, a sync takes its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.kernel import writeback


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(bytes(1 << 20))
        yield file.fileno()


def test_what_was_written_is_no_longer_dirty(handle: int) -> None:
    writeback.begin_write_back(handle, 0, 1 << 19)
    writeback.await_write_back(handle, 0, 1 << 19)
    writeback.await_write_back(handle, 1 << 19, 1 << 19)  # was not begun


def test_a_file_that_cannot_be_written_back_is_told(handle: int) -> None:
    reading, writing = os.pipe()
    try:
        for call in (writeback.begin_write_back, writeback.await_write_back):
            with pytest.raises(OSError, match="Illegal seek"):
                call(writing, 0, 1)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_without_the_call_a_sync_is_waited_for(handle: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    synced: list[int] = []
    monkeypatch.setattr(writeback, "sync_file_range", refuse)
    monkeypatch.setattr(os, "fdatasync", synced.append)
    writeback.begin_write_back(handle, 0, 1)
    assert synced == []
    writeback.await_write_back(handle, 0, 1)
    assert synced == [handle]


def test_a_disk_that_failed_is_told(handle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(writeback, "sync_file_range", fail)
    for call in (writeback.begin_write_back, writeback.await_write_back):
        with pytest.raises(OSError, match="Input/output error"):
            call(handle, 0, 1)
