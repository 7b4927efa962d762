"""Images at a unix socket: who may use it, what is in its way, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.backup.serving import ask_to_end, listening, padded_size
from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExistsError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.wire.nbd.protocol import hello
from drystone.wire.nbd.server import CONNECTIONS


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


def answer(listener: socket.socket, said: bytes) -> None:
    """Take one client, say that, and see what it does."""
    stream, _ = listener.accept()
    with stream:
        stream.sendall(said)
        stream.settimeout(20)
        with contextlib.suppress(OSError):
            while stream.recv(4096):
                pass


@pytest.mark.parametrize("said", [b"", b"220 mail", hello(), hello() + bytes(100)])
def test_somebody_elses_server_is_not_asked_to_end(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener, said), daemon=True)
        thread.start()
        with pytest.raises(RefusedError):
            ask_to_end(path, patience=0.3)
        thread.join(120)


def test_a_server_that_takes_no_clients_is_told_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "stuck"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(str(path))
        with pytest.raises(ExistsError, match="listens"), listening(MemoryImage(), path, failed=fail):
            pass
        with pytest.raises(BusyError):
            ask_to_end(path, patience=0.3)


def test_a_server_that_has_all_the_clients_it_takes_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "nbd"
    with listening(MemoryImage(), path, failed=fail), contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
            assert client.recv(18) == hello()
        with pytest.raises(BusyError, match="takes no clients"):
            ask_to_end(path)


def test_paths_that_no_socket_can_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longer"), listening(MemoryImage(), tmp_path / ("x" * 200), failed=fail):
        pass
    with pytest.raises(NotFoundError), listening(MemoryImage(), tmp_path / "none" / "nbd", failed=fail):
        pass
