"""The frame switch: learning, flooding, cuts in each direction."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from drystone.lab.switch import Switch

BROADCAST = b"\xff" * 6


def mac(port: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, port])


class Wires:
    """Three ports of a switch, and what arrives at them."""

    def __init__(self) -> None:
        self.switch = Switch()
        self.pairs = {port: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for port in (1, 2, 3)}
        for port, (near, far) in self.pairs.items():
            near.setblocking(False)
            far.setblocking(False)
            self.switch.connect(port, near)

    def send(self, source: int, target: bytes, text: bytes = b"x") -> list[int]:
        """Who gets a frame from `source`."""
        self.pairs[source][1].send(target + mac(source) + text)
        assert self.switch.forward(source)
        return [port for port in self.pairs if self.take(port)]

    def take(self, port: int) -> bytes:
        try:
            return self.pairs[port][1].recv(2000)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for near, far in self.pairs.values():
            near.close()
            far.close()


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


def test_a_broadcast_reaches_everybody_else(wires: Wires) -> None:
    assert wires.send(1, BROADCAST) == [2, 3]


def test_an_address_is_flooded_until_it_is_known(wires: Wires) -> None:
    assert wires.send(1, mac(2)) == [2, 3]
    assert wires.send(2, mac(1)) == [1]
    assert wires.send(1, mac(2)) == [2]


def test_a_cut_node_sends_and_receives_nothing_until_it_is_healed(wires: Wires) -> None:
    wires.switch.cut(2)
    assert wires.switch.describe_cut(2) == "cut"
    assert wires.send(1, BROADCAST) == [3]
    assert wires.send(2, BROADCAST) == []
    wires.switch.heal(2)
    assert wires.switch.describe_cut(2) == "whole"
    assert wires.send(1, BROADCAST) == [2, 3]
    assert wires.send(2, BROADCAST) == [1, 3]


def test_one_way_is_cut_alone(wires: Wires) -> None:
    wires.switch.cut(2, receiving=False)
    assert wires.switch.describe_cut(2) == "cut-sending"
    assert wires.send(1, BROADCAST) == [2, 3]
    assert wires.send(2, BROADCAST) == []
    wires.switch.heal(2)
    wires.switch.cut(2, sending=False)
    assert wires.switch.describe_cut(2) == "cut-receiving"
    assert wires.send(1, BROADCAST) == [3]
    assert wires.send(2, BROADCAST) == [1, 3]


def test_a_cut_stays_when_the_node_boots_again(wires: Wires) -> None:
    wires.switch.cut(2)
    wires.switch.disconnect(2)
    assert wires.send(1, mac(2)) == [3]
    wires.switch.connect(2, wires.pairs[2][0])
    assert wires.send(1, mac(2)) == [3]


def test_a_node_that_is_gone_is_forgotten_and_hurts_nobody(wires: Wires) -> None:
    wires.send(2, mac(1))
    wires.pairs[2][1].close()
    assert not wires.switch.forward(2)
    wires.switch.disconnect(2)
    wires.pairs.pop(2)[0].close()
    assert wires.send(1, mac(2)) == [3]


def test_a_full_port_loses_frames_and_others_do_not_wait(wires: Wires) -> None:
    for _ in range(2000):
        wires.pairs[1][1].send(BROADCAST + mac(1) + bytes(1000))
        wires.switch.forward(1)
        wires.take(3)
    assert wires.take(2)
    assert wires.send(1, BROADCAST)[-1] == 3
