"""A body that is given up while it is written; and one that is written back while it comes."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from drystone.base.errors import ExhaustedError, UnavailableError
from drystone.fleet.disk import incoming, places
from drystone.fleet.disk.files import DiskFiles
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.incoming import Incoming
from drystone.testing.fleet.slow_files import SlowFiles


class HeldFiles(DiskFiles):
    """Writing waits for a gate, and looks at the file after it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writing, self.gate = threading.Event(), threading.Event()
        self.links: list[int] = []

    def write(self, handle: int, data: bytes | memoryview) -> None:
        self.writing.set()
        assert self.gate.wait(120)
        self.links.append(os.fstat(handle).st_nlink)
        super().write(handle, data)


def make_body(root: Path) -> tuple[HeldFiles, Incoming]:
    files = HeldFiles(root)
    files.make_folders(f"{places.TEMP}/x")
    (root / places.TEMP).mkdir(parents=True, exist_ok=True)
    return files, Incoming(files, Trouble("data_1", root), md5=False, beside=None)


def test_its_file_is_open_until_the_write_under_way_has_ended(tmp_path: Path) -> None:
    files, body = make_body(tmp_path)
    writer = threading.Thread(target=body.write, args=(b"x" * 100,))
    leaver = threading.Thread(target=body.abandon)
    writer.start()
    assert files.writing.wait(120)
    leaver.start()
    leaver.join(0.2)
    assert leaver.is_alive()
    files.gate.set()
    writer.join(120)
    leaver.join(120)
    assert files.links == [1]
    assert not (tmp_path / body.place).exists()


def test_nothing_is_written_to_one_that_was_given_up(tmp_path: Path) -> None:
    files, body = make_body(tmp_path)
    files.gate.set()
    body.write(b"first")
    body.abandon()
    with pytest.raises(UnavailableError, match="given up"):
        body.write(b"second")
    with pytest.raises(UnavailableError, match="given up"):
        body.secure(0.0)
    body.abandon()


class FailingFiles(DiskFiles):
    """What was written cannot be written back, which is told once. :ivar number: why."""

    number = errno.EIO

    def await_write_back(self, handle: int, begin: int, count: int) -> None:
        raise OSError(self.number, os.strerror(self.number))


def receive(root: Path, files: DiskFiles) -> Incoming:
    (root / places.TEMP).mkdir(parents=True, exist_ok=True)
    return Incoming(files, Trouble("data_1", root), md5=False, beside=None)


def test_the_sync_at_the_end_has_little_left_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much came: others wait for it, for ten seconds."""
    monkeypatch.setattr(incoming, "WRITE_BACK", 1000)
    files = SlowFiles(tmp_path, rate=50_000.0)
    body = receive(tmp_path, files)
    for _ in range(40):
        body.write(bytes(700))
    body.secure(0.0)
    assert files.longest_sync < 3 * 1400 / 50_000 + 0.05, "of 0.56 s for all of it"
    assert (tmp_path / body.place).read_bytes() == bytes(28_000)


def test_what_could_not_be_written_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says so once: the sync at the end would know nothing of it."""
    monkeypatch.setattr(incoming, "WRITE_BACK", 1000)
    body = receive(tmp_path, FailingFiles(tmp_path))
    body.write(bytes(1000))
    with pytest.raises(UnavailableError):
        body.write(bytes(1000))
    body.abandon()
    assert list((tmp_path / places.TEMP).iterdir()) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_what_could_not_be_written_is_never_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whoever goes on with the body all the same is refused."""
    monkeypatch.setattr(incoming, "WRITE_BACK", 1000)
    monkeypatch.setattr(FailingFiles, "number", number)
    body = receive(tmp_path, FailingFiles(tmp_path))
    body.write(bytes(1000))
    with pytest.raises((ExhaustedError, UnavailableError)):
        body.write(bytes(1000))
    with pytest.raises(UnavailableError, match="given up"):
        body.write(b"more")
    with pytest.raises(UnavailableError, match="given up"):
        body.secure(0.0)
    body.abandon()
    assert list((tmp_path / places.TEMP).iterdir()) == []
