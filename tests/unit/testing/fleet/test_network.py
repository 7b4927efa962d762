from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

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


def gives_nothing(near: socket.socket) -> bool:
    try:
        return near.recv(1) == b""
    except ConnectionResetError:
        return True
