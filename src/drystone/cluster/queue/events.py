"""The queue in the database: hints are its events, which are looked for a few times a second."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from sqlalchemy import Connection, func, select

from drystone.base.errors import DrystoneError
from drystone.cluster.queue.hint import Hint, hints_of
from drystone.cluster.queue.listening import Heed
from drystone.cluster.state import schema
from drystone.cluster.state.database import Database
from drystone.cluster.state.pages import find_events

log = logging.getLogger(__name__)

PAUSE = 0.2
"""Seconds between two looks."""
_LIMIT = 500
"""Events that are read at once: those before are for the next round."""
_FIRST = 20
"""Of the first look: what was recorded after the first round had looked, and before this, waits for no other round."""


class EventHints:
    """Hears of what others than `caller` have recorded. The constructor has no effects.

    :param database: opened by whoever made it. :param pause: seconds between two looks.
    """

    def __init__(self, database: Database, caller: str, *, pause: float = PAUSE) -> None:
        self._database = database
        self._caller = caller
        self._pause = pause

    def run(self, heed: Heed, stop: Event) -> None:
        """Hand over what is new until `stop` is set."""
        seen: int | None = None
        while not stop.wait(self._pause):
            try:
                seen, hints = self._database.read(self._look_after(seen))
            except DrystoneError as error:  # rounds tell of it
                log.debug("%s", error)
                continue
            if hints:
                heed(hints)

    def _look_after(self, seen: int | None) -> Callable[[Connection], tuple[int, list[Hint]]]:
        def look(connection: Connection) -> tuple[int, list[Hint]]:
            newest: int = connection.execute(select(func.max(schema.event_counter.c.value))).scalar() or 0
            if newest == seen:
                return newest, []
            after = max(0, newest - _FIRST) if seen is None else max(seen, newest - _LIMIT)
            found = find_events(connection, after=after, limit=_LIMIT)
            return newest, hints_of(each for each in found if each["caller"] != self._caller)

        return look
