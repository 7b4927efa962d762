"""Three guests on a network of their own: links that are cut and healed, nodes that die and come back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from drystone.base.errors import BusyError, NotFoundError, UnavailableError
from drystone.lab.lab import Guest, Lab

PORT = 7000
_LISTENER: list[socket.socket] = []


def listen() -> None:
    """Runs in a guest: from now on whoever connects is welcome."""
    _LISTENER.append(socket.create_server(("0.0.0.0", PORT)))


def connects(address: str, seconds: float) -> bool:
    """Runs in a guest: tries again and again, as a connection's own patience grows long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, PORT), timeout=0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(3, memory=128 << 20) as made:
        yield made


def reaches(source: Guest, target: str, seconds: float = 1.0) -> bool:
    with source.python() as python:
        found: bool = python.call(connects, target, seconds)
        return found


@pytest.mark.usefixtures("driver")
def test_a_cut_link_carries_nothing_until_it_is_healed(lab: Lab) -> None:
    one, two, three = lab.guests
    with two.python() as python, three.python() as other:
        python.call(listen)
        other.call(listen)
        assert reaches(one, "node2", 10)
        for way in ("both", "sending", "receiving"):
            two.cut(way)
            assert not reaches(one, "node2")
            assert reaches(one, "node3", 10)
            two.heal()
            assert reaches(one, "node2", 30)


@pytest.mark.usefixtures("driver")
def test_a_killed_node_comes_back_with_its_name_and_address(lab: Lab) -> None:
    one, _, three = lab.guests
    three.kill()
    with pytest.raises(UnavailableError, match="node3 is down"):
        three.run(["true"])
    three.boot()
    assert three.run(["hostname"]).text == "node3\n"
    with pytest.raises(BusyError):
        three.boot()
    with three.python() as python:
        python.call(listen)
        assert reaches(one, three.address, 30)


@pytest.mark.usefixtures("driver")
def test_a_paused_node_is_silent_and_goes_on(lab: Lab) -> None:
    one, two, _ = lab.guests
    two.pause()
    assert not reaches(one, "node2")
    two.resume()
    assert two.run(["echo", "here"], timeout=30).text == "here\n"


@pytest.mark.usefixtures("driver")
def test_the_hosts_network_has_nothing_of_it(lab: Lab) -> None:
    assert lab.guests[0].run(["cat", "/proc/net/dev"]).text.count("vec0") == 1
    names = [name for _, name in socket.if_nameindex()]
    assert not [name for name in names if "vec" in name or "tap" in name]


@pytest.mark.usefixtures("driver")
def test_a_node_that_does_not_exist_is_named(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="node9"):
        Guest(lab.control, "node9").kill()
