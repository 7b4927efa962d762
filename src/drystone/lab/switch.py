"""The guests' network: a switch of Ethernet frames between SOCK_SEQPACKET sockets, with links that can be cut.

A port is a number, one a node. The switch learns which address is behind which port, floods what it does not know, and
drops what a socket does not take at once, as a real one does. A link is a node's connection to the switch; each
direction of it is cut on its own. Nothing of it is on the host's network.
"""

from __future__ import annotations

import contextlib
import socket

_LARGEST_FRAME = 1 << 16
_BURST = 64
"""Frames of one port that are forwarded before others get their turn."""
_GROUP_BIT = 1


class Switch:
    """Ports, what is behind them, and which directions are cut. The caller says when a port is readable."""

    def __init__(self) -> None:
        self._ports: dict[int, socket.socket] = {}
        self._places: dict[bytes, int] = {}
        self._cut_from: set[int] = set()
        self._cut_to: set[int] = set()

    def connect(self, port: int, link: socket.socket) -> None:
        """Put `link`, non-blocking, at `port`; the switch does not close it."""
        self._ports[port] = link

    def disconnect(self, port: int) -> None:
        """Forget the port's link and what was behind it. Cuts stay: they belong to the cable."""
        self._ports.pop(port, None)
        self._places = {address: place for address, place in self._places.items() if place != port}

    def cut(self, port: int, *, sending: bool = True, receiving: bool = True) -> None:
        """Drop what the node at `port` sends, what it should receive, or both."""
        if sending:
            self._cut_from.add(port)
        if receiving:
            self._cut_to.add(port)

    def heal(self, port: int) -> None:
        """Both directions carry frames again."""
        self._cut_from.discard(port)
        self._cut_to.discard(port)

    def describe_cut(self, port: int) -> str:
        """`whole`, `cut`, `cut-sending` or `cut-receiving`."""
        sending, receiving = port in self._cut_from, port in self._cut_to
        if sending and receiving:
            return "cut"
        return "cut-sending" if sending else "cut-receiving" if receiving else "whole"

    def forward(self, port: int) -> bool:
        """Take what waits at `port`, at most a burst, and send it on; False when the other side has closed."""
        link = self._ports[port]
        for _ in range(_BURST):
            try:
                frame = link.recv(_LARGEST_FRAME)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not frame:
                return False
            if port not in self._cut_from:
                self._send_on(port, frame)
        return True

    def _send_on(self, port: int, frame: bytes) -> None:
        target, source = frame[:6], frame[6:12]
        self._places[source] = port
        place = None if target[0] & _GROUP_BIT else self._places.get(target)
        for each in self._ports if place is None else (place,):
            if each != port and each not in self._cut_to:
                with contextlib.suppress(OSError):  # full, or its guest is gone: a frame is lost, as on a wire
                    self._ports[each].send(frame)
