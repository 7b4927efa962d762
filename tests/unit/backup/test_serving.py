"""Images at a unix socket: who may use it, what is in its way, and how it is ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.backup.serving import ask_to_end, listening, padded_size
from drystone.base.errors import DrystoneError, ExistsError, KernelError, NotFoundError, UsageError


class MemoryImage:
    """Some bytes."""

    size = 1000

    def read(self, offset: int, length: int) -> bytes:
        return bytes(range(256))[offset : offset + length]

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        yield offset, length


def fail(error: DrystoneError) -> None:
    raise AssertionError(error)


def test_a_device_has_whole_sectors() -> None:
    assert padded_size(MemoryImage()) == 1024


def test_a_socket_is_its_users_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "nbd"
    with listening(MemoryImage(), path, failed=fail) as uri:
        assert uri == f"nbd+unix:///backup?socket={path}"
        assert path.stat().st_mode & 0o777 == 0o600
        assert ask_to_end(path) == os.getpid()
        with pytest.raises(ExistsError, match="listens"), listening(MemoryImage(), path, failed=fail):
            pass
    assert not path.exists()
    with pytest.raises(NotFoundError):
        ask_to_end(path)


def test_what_a_killed_server_left_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "nbd"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with listening(MemoryImage(), path, failed=fail):
        assert ask_to_end(path) == os.getpid()
    path.write_text("kept")
    with pytest.raises(ExistsError, match="no socket"), listening(MemoryImage(), path, failed=fail):
        pass
    assert path.read_text() == "kept"


def test_paths_that_no_socket_can_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longer"), listening(MemoryImage(), tmp_path / ("x" * 200), failed=fail):
        pass
    with pytest.raises(KernelError), listening(MemoryImage(), tmp_path / "none" / "nbd", failed=fail):
        pass
