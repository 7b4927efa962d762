from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drystone.testing.fleet.network import Network, Relay, find_socket, holds_socket

SECONDS = 120.0


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(SECONDS)
        yield made


@contextmanager
def connected(relay: Relay, listening: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection through the relay."""
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SECONDS) as near:
        near.sendall(b"1")
        far, _ = listening.accept()
        with far:
            far.settimeout(SECONDS)
            assert far.recv(1) == b"1"
            yield near, far


def network() -> Network:
    """One in which this process is the server "us"."""
    return Network(lambda name: os.getpid() if name == "us" else 0)


def test_a_socket_tells_whose_it_is(listening: socket.socket) -> None:
    with socket.create_connection(listening.getsockname()) as near:
        inode = find_socket(near.getsockname()[1], listening.getsockname()[1])
        assert inode
        assert holds_socket(os.getpid(), inode)
        assert not holds_socket(1 << 30, inode)
    assert find_socket(1, 1) == 0


def test_bytes_go_both_ways(listening: socket.socket) -> None:
    with network() as made:
        relay = made.relay("them", listening.getsockname()[1])
        with connected(relay, listening) as (near, far):
            near.sendall(b"there")
            assert far.recv(5) == b"there"
            far.sendall(b"back")
            assert near.recv(4) == b"back"
            far.close()
            assert near.recv(1) == b"", "the end goes through too"


def test_what_is_held_comes_later(listening: socket.socket) -> None:
    with network() as made:
        relay = made.relay("them", listening.getsockname()[1])
        made.know("us")
        with connected(relay, listening) as (near, far):
            made.cut("us", "them", "hold")
            near.sendall(b"late")
            far.settimeout(0.2)
            with pytest.raises(TimeoutError):
                far.recv(4)
            made.heal("us", "them")
            far.settimeout(SECONDS)
            assert far.recv(4) == b"late"


def test_a_reset_breaks_connections_and_refuses_new_ones(listening: socket.socket) -> None:
    with network() as made:
        relay = made.relay("them", listening.getsockname()[1])
        made.know("us")
        with connected(relay, listening) as (near, _):
            made.cut("us", "them", "reset")
            assert gives_nothing(near)
        with socket.create_connection(("127.0.0.1", relay.port), timeout=SECONDS) as near:
            assert gives_nothing(near)
        made.heal("us", "them")
        with connected(relay, listening):
            pass


def test_others_are_not_cut(listening: socket.socket) -> None:
    with network() as made:
        relay = made.relay("them", listening.getsockname()[1])
        made.know("us")
        made.cut("somebody", "them", "reset")
        with connected(relay, listening) as (near, far):
            near.sendall(b"x")
            assert far.recv(1) == b"x"


def test_nothing_stays_open_of_a_connection_that_was_under_way() -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # those that nobody takes: no more of them are answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        before = set(Path("/proc/self/fd").iterdir())
        with network() as made:
            relay = made.relay("them", full.getsockname()[1])
            with socket.create_connection(("127.0.0.1", relay.port), timeout=SECONDS) as near:
                near.sendall(b"1")
                while not is_asked(full.getsockname()[1], 4):
                    time.sleep(0.01)
        assert set(Path("/proc/self/fd").iterdir()) == before


def test_nothing_stays_open_of_a_connection_that_just_came(listening: socket.socket) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(40):
        with network() as made, contextlib.ExitStack() as stack:
            relay = made.relay("them", listening.getsockname()[1])
            for _ in range(3):
                stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), timeout=SECONDS))
    listening.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
    assert set(Path("/proc/self/fd").iterdir()) == before


def is_asked(port: int, times: int) -> bool:
    """Whether so many connections to a port were begun."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(line.split()[2].endswith(f":{port:04X}") for line in lines) >= times


def gives_nothing(near: socket.socket) -> bool:
    try:
        return near.recv(1) == b""
    except ConnectionResetError:
        return True
