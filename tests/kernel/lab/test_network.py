"""Three guests on a network of their own: links that are cut and healed, nodes that die and come back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, NotFoundError, UnavailableError
from drystone.lab.lab import Guest, Lab
from drystone.lab.python import Python

SIDE = str(Path(__file__).parent / "guest_side.py")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(3, memory=128 << 20) as made:
        yield made


def reaches(source: Python, target: str, seconds: float = 0.7) -> bool:
    found: bool = source.call(f"{SIDE}:connects", target, seconds)
    return found


@pytest.mark.usefixtures("driver")
def test_a_cut_link_carries_nothing_until_it_is_healed(lab: Lab) -> None:
    one, two, three = lab.guests
    with one.python() as source, two.python() as python, three.python() as other:
        python.call(f"{SIDE}:listen")
        other.call(f"{SIDE}:listen")
        assert reaches(source, "node2", 10)
        for way in ("both", "sending", "receiving"):
            two.cut(way)
            assert not reaches(source, "node2")
            assert reaches(source, "node3", 10)
            two.heal()
            assert reaches(source, "node2", 30)


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
    with one.python() as source, three.python() as python:
        python.call(f"{SIDE}:listen")
        assert reaches(source, three.address, 30)


@pytest.mark.usefixtures("driver")
def test_a_paused_node_is_silent_and_goes_on(lab: Lab) -> None:
    one, two, _ = lab.guests
    with one.python() as source:
        two.pause()
        assert not reaches(source, "node2")
        two.resume()
    assert two.run(["echo", "here"], timeout=120).text == "here\n"


@pytest.mark.usefixtures("driver")
def test_the_hosts_network_has_nothing_of_it(lab: Lab) -> None:
    assert lab.guests[0].run(["cat", "/proc/net/dev"]).text.count("vec0") == 1
    names = [name for _, name in socket.if_nameindex()]
    assert not [name for name in names if "vec" in name or "tap" in name]


@pytest.mark.usefixtures("driver")
def test_a_node_that_does_not_exist_is_named(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="node9"):
        Guest(lab.control, "node9").kill()
    with pytest.raises(NotFoundError, match="node9"):
        lab.control.ask("wait", nodes=["node9"])
