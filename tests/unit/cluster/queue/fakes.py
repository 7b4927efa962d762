"""A broker of values, which does what it is told to: take messages, be away, hang, swallow them."""

from __future__ import annotations

import threading
import time

from drystone.base.errors import UnavailableError


class FakeBroker:
    """:ivar is_away: nobody connects, and connections fail. :ivar is_deaf: takes messages and passes none on.

    :ivar failures: calls that fail from now on. :ivar hang: while it is not set, calls wait.
    :ivar connections: that were ever made.
    """

    def __init__(self) -> None:
        self.is_away = False
        self.is_deaf = False
        self.failures = 0
        self.hang = threading.Event()
        self.hang.set()
        self.connections = 0
        self.sent: list[bytes] = []
        self._links: list[FakeLink] = []

    def connect(self) -> FakeLink:
        """A connection."""
        self.check()
        self.connections += 1
        link = FakeLink(self)
        self._links.append(link)
        return link

    def check(self) -> None:
        """Wait, or fail, as it was told to."""
        self.hang.wait(30)
        if self.is_away:
            raise UnavailableError("nobody listens")
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError

    def spread(self, message: bytes) -> None:
        """Give a message to all who are connected."""
        self.sent.append(message)
        for link in self._links:
            link.received.append(message)

    def leave(self, link: FakeLink) -> None:
        """A connection is closed."""
        self._links.remove(link)


class FakeLink:
    """A connection to it."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self.received: list[bytes] = []

    def send(self, message: bytes) -> None:
        self._broker.check()
        if not self._broker.is_deaf:
            self._broker.spread(message)

    def receive(self, seconds: float) -> list[bytes]:
        until = time.monotonic() + min(seconds, 0.02)
        while not self.received and time.monotonic() < until:
            time.sleep(0.001)
        self._broker.check()
        found = [*self.received]
        del self.received[: len(found)]
        return found

    def close(self) -> None:
        self._broker.leave(self)
