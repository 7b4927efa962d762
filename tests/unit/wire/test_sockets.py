"""Sockets: stale ones are cleared, living ones are not touched."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, UnavailableError, UsageError
from drystone.wire.client import UnixClient
from drystone.wire.sockets import bind_unix


def test_permissions_hold_from_the_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "s"
    with bind_unix(path, mode=0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bind_unix(path).close()
    assert path.exists()
    with bind_unix(path):
        assert path.exists()


def test_a_living_socket_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with bind_unix(path), pytest.raises(BusyError, match="another daemon answers"):
        bind_unix(path)
    assert path.exists()


def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(UsageError, match="no socket"):
        bind_unix(path)
    assert path.read_text() == "precious"


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="107 bytes"):
        bind_unix(tmp_path / ("x" * 120))


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot talk to the daemon"):
        UnixClient(tmp_path / "none").call("GET", "/info")


def test_somebody_who_says_nothing_sensible(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        import threading

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"what?\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnavailableError):
            UnixClient(path, timeout=5).call("GET", "/info")
        thread.join()
