"""Hints are given to a broker by a thread of its own: whoever gives one goes on at once, whatever the broker does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Literal, Self

from drystone.cluster.queue.broker import Link
from drystone.cluster.queue.hint import Hint, encode_hint
from drystone.cluster.queue.outage import FIRST_PAUSE, Outage

log = logging.getLogger(__name__)

WAITING_LIMIT = 1000
"""Hints that wait for a broker; more are dropped."""
_END_SECONDS = 1.0


State = Literal["unused", "connected", "away"]


@dataclass(slots=True)
class Counts:
    """Since the start.

    :ivar sent: hints that the broker has. :ivar dropped: that nobody has. :ivar state: of the broker, by the last one.
    """

    sent: int = 0
    dropped: int = 0
    state: State = "unused"


class Publisher:
    """Gives hints to a broker while the block runs. The constructor has no effects.

    :param connect: makes a connection, or raises. :param pause: seconds before it is tried again at first.
    :ivar counts: for metrics.
    """

    def __init__(self, connect: Callable[[], Link], *, pause: float = FIRST_PAUSE) -> None:
        self._connect = connect
        self._outage = Outage("it takes no hints", pause)
        self._waiting: dict[Hint, None] = {}
        self._changed = Condition()
        self._ended = False
        self._link: Link | None = None
        self._thread = Thread(target=self._run, name="queue", daemon=True)
        self.counts = Counts()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What waits is dropped; a call of the broker that is under way is left to its own end."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(_END_SECONDS)

    def give(self, hints: Iterable[Hint]) -> None:
        """Have hints sent, each once while it waits. Never blocks, never raises; what is too much is dropped."""
        with self._changed:
            for hint in hints:
                if len(self._waiting) < WAITING_LIMIT or hint in self._waiting:
                    self._waiting[hint] = None
                else:
                    self.counts.dropped += 1
            self._changed.notify()

    def _run(self) -> None:
        while (hints := self._take()) is not None:
            try:
                self._send(hints)
            except Exception as error:  # noqa: BLE001  # the thread's supervisor, whatever broker and library do; told there
                pause = self._outage.begin(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._ended, pause)
            else:
                self._outage.end()
        self._drop()

    def _take(self) -> list[Hint] | None:
        """What waits, as soon as something does; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._waiting)
            if self._ended:
                return None
            hints = [*self._waiting]
            self._waiting.clear()
            return hints

    def _send(self, hints: list[Hint]) -> None:
        """By the connection that there is, or by a new one: the broker may have been started anew.

        :raises Exception: by neither.
        """
        left = [*hints]
        try:
            if self._link is not None:
                try:
                    self._pass_on(self._link, left)
                except Exception:
                    log.debug("the queue", exc_info=True)
                    self._drop()
            if self._link is None:
                self._link = self._connect()
                self.counts.state = "connected"
                self._pass_on(self._link, left)
        except BaseException:
            self._drop()
            self.counts.state = "away"
            raise
        finally:
            self.counts.dropped += len(left)

    def _pass_on(self, link: Link, left: list[Hint]) -> None:
        while left:
            link.send(encode_hint(left[0]))
            del left[0]
            self.counts.sent += 1

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
