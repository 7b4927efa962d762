"""Pages of plain files; devices are tested in a guest."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, KernelError, NotFoundError, UsageError
from drystone.kernel.pages import PAGE, locked_paths, open_pages


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "file"
    file.write_bytes(b"".join(bytes([page]) * PAGE for page in range(4)))
    return str(file)


def test_pages_are_read_and_written(path: str) -> None:
    with open_pages(path, write=True) as device:
        assert (device.size, device.pages, device.number) == (4 * PAGE, 4, None)
        assert device.read(1, 2) == b"\1" * PAGE + b"\2" * PAGE
        assert device.read(0, 0) == b""
        device.write(2, b"x" * PAGE)
        device.flush()
        assert device.read(2, 1) == b"x" * PAGE
    assert Path(path).read_bytes()[2 * PAGE : 3 * PAGE] == b"x" * PAGE


def test_more_than_fits_into_one_call(tmp_path: Path) -> None:
    path = tmp_path / "large"
    data = b"".join(page.to_bytes(4, "big") * (PAGE // 4) for page in range(600))
    path.write_bytes(bytes(len(data)))
    with open_pages(str(path), write=True) as device:
        device.write(0, data)
        assert device.read(0, 600) == data


def test_what_is_viewed_stays_while_others_are_read(path: str) -> None:
    with open_pages(path) as device:
        with device.viewed(1, 2) as view:
            assert device.read(3, 1) == b"\3" * PAGE
            assert bytes(view) == b"\1" * PAGE + b"\2" * PAGE
        with device.viewed(0, 1) as view:
            assert bytes(view) == bytes(PAGE)


def test_a_file_that_ends_within_a_page(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b"a" * PAGE + b"end")
    with open_pages(str(path), write=True) as device:
        assert (device.pages, device.read_rest()) == (1, b"end")
        device.write(0, b"b" * PAGE)
        with pytest.raises(UsageError, match="not within"):
            device.read(1, 1)
    assert path.read_bytes() == b"b" * PAGE + b"end"


def test_a_file_that_ends_within_a_page_is_behind_a_page_cache(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(bytes(PAGE + 1))
    with open_pages(str(path)) as device:
        assert device.is_cached


def test_where_direct_access_is_granted_there_is_no_page_cache_between(path: str) -> None:
    with open_pages(path) as device:
        assert device.is_cached == (not fcntl.fcntl(device.handle, fcntl.F_GETFL) & os.O_DIRECT)


def test_nothing_outside(path: str) -> None:
    with open_pages(path, write=True) as device:
        for page, count in ((-1, 1), (4, 1), (3, 2), (0, -1)):
            with pytest.raises(UsageError, match="not within"):
                device.read(page, count)
        with pytest.raises(UsageError, match="not within"):
            device.write(4, bytes(PAGE))
        assert device.read_rest() == b""


def test_what_cannot_be_opened(tmp_path: Path, path: str) -> None:
    with pytest.raises(NotFoundError):
        open_pages(str(tmp_path / "none"))
    with pytest.raises(NotFoundError):
        open_pages(path + "/below")
    with pytest.raises(UsageError, match="neither"):
        open_pages(str(tmp_path))
    with pytest.raises(UsageError, match="neither"):
        open_pages("/dev/null")


def test_a_file_that_was_opened_to_read_is_not_written(path: str) -> None:
    with open_pages(path) as device, pytest.raises(KernelError, match="write"):
        device.write(0, bytes(PAGE))


def test_readers_share_and_a_writer_is_alone(path: str) -> None:
    with locked_paths([path], shared=True):
        with locked_paths([path], shared=True):
            pass
        with pytest.raises(BusyError, match="in use"), locked_paths([path], shared=False, patience=0):
            pass
    with locked_paths([path], shared=False), pytest.raises(BusyError), locked_paths([path], shared=True, patience=0):
        pass


def test_a_lock_that_goes_away_is_waited_for(path: str) -> None:
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked_paths([path], shared=False):
            taken.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    threading.Timer(0.05, release.set).start()
    with locked_paths([path], shared=False, patience=10):
        assert release.is_set()
    thread.join()


def test_two_names_of_one_file_are_locked_once(path: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with locked_paths([path, str(link), str(tmp_path / "gone")], shared=False):
        pass
