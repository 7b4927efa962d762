"""Hints are heard from a broker: by who listens to its own voice too, and so knows that it hears.

A connection may look well while nothing comes through it, as the broker hangs, has lost the queue, or is full. So the
listener sends an echo now and then, and makes another connection when it does not hear it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from threading import Event

from drystone.base.errors import TimedOutError
from drystone.base.names import new_uuid
from drystone.cluster.queue.broker import Link
from drystone.cluster.queue.hint import Hint, decode_hint, encode_hint
from drystone.cluster.queue.outage import FIRST_PAUSE, Outage

Heed = Callable[[Collection[Hint]], None]

_LOOK_SECONDS = 0.5
"""That a call waits for messages: the end is noticed so soon."""
LULL = 0.1
"""Seconds between two times that hints are handed over: of many in between each counts once."""
_ECHO_SECONDS = 5.0
"""Between two echoes."""
_SILENCE_SECONDS = 10.0
"""Without an own echo, after which a connection is good for nothing."""


class Listener:
    """Listens to a broker. The constructor has no effects.

    :param connect: makes a connection, or raises. :param echo, silence, pause: seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Link],
        *,
        echo: float = _ECHO_SECONDS,
        silence: float = _SILENCE_SECONDS,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self._connect = connect
        self._echo = echo
        self._silence = silence
        self._outage = Outage("nothing is heard from it", pause)

    def run(self, heed: Heed, stop: Event) -> None:
        """Hand over what is heard until `stop` is set."""
        while not stop.is_set():
            try:
                link = self._connect()
                try:
                    self._listen(link, heed, stop)
                finally:
                    link.close()
            except Exception as error:  # noqa: BLE001  # the thread's supervisor, whatever broker and library do; told there
                stop.wait(self._outage.begin(error))

    def _listen(self, link: Link, heed: Heed, stop: Event) -> None:
        """:raises TimedOutError: the own echo is not heard. :raises Exception: the connection failed."""
        own = Hint("echo", new_uuid())
        heard = time.monotonic()
        said = heard - self._echo
        while not stop.is_set():
            if time.monotonic() - said >= self._echo:
                said = time.monotonic()
                link.send(encode_hint(own))
            found = {hint for each in link.receive(_LOOK_SECONDS) if (hint := decode_hint(each)) is not None}
            if own in found:
                heard = time.monotonic()
                self._outage.end()
            if time.monotonic() - heard > self._silence:
                raise TimedOutError(f"it passes nothing on for {self._silence:g} s")
            if hints := {hint for hint in found if hint.kind != "echo"}:
                heed(hints)
                stop.wait(LULL)
