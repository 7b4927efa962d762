"""Hints of the queue are heeded beside the rounds, by a thread of its own: rounds wait for nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

from drystone.base.errors import DrystoneError
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.monitor.rounds import Rounds
from drystone.cluster.queue.broker import KombuLink
from drystone.cluster.queue.events import EventHints
from drystone.cluster.queue.hint import Hint
from drystone.cluster.queue.listening import Listener
from drystone.cluster.state.database import Database

log = logging.getLogger(__name__)

_END_SECONDS = 5.0


def listen_at(queue: str, database: Database) -> Callable[[Callable[[Collection[Hint]], None], Event], None]:
    """What runs until an event is set, and hands hints over: of a broker's URL, or of the database when ""."""
    if queue:
        return Listener(partial(KombuLink, queue, listens=True)).run
    return EventHints(database, CALLER).run


@contextmanager
def heeding(rounds: Rounds, queue: str, database: Database) -> Iterator[None]:
    """Heed hints while the block runs. :param queue: see `listen_at`."""
    stop = Event()

    def heed(hints: Collection[Hint]) -> None:
        try:
            rounds.heed(hints)
        except DrystoneError as error:  # rounds tell of it
            log.debug("%s", error)
        except Exception:  # the supervisor of hints: a defect costs some of them, never the rest
            log.exception("hints")

    thread = Thread(target=listen_at(queue, database), args=(heed, stop), name="queue", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_SECONDS)
