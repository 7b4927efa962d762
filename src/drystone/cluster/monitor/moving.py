"""Legs that are to go elsewhere: moves are begun, a few at a time; each dlv's attendant brings its own to their end.

Nothing is remembered: what is to move follows from the record, whoever looks, and what is under way is in it too.
"""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy import Connection

from drystone.base.errors import ExhaustedError, NotFoundError, RefusedError
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.state import moves, rows
from drystone.cluster.state.database import Database, Work

log = logging.getLogger(__name__)


class Moving:
    """Begins moves. The constructor has no effects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attend(self, dvg: str) -> None:
        """Begin what can be begun in a dvg; one that is balanced says so. :raises DrystoneError: the database failed.

        What was planned is looked at again in the transaction that begins it.
        """
        found = self._database.read(partial(moves.next_moves, dvg=dvg))
        for move in found:
            try:
                self._database.change(partial(moves.start_move, move=move), caller=CALLER)
            except (ExhaustedError, NotFoundError, RefusedError) as error:
                log.info("leg %s of dlv %s stays: %s", move.leg, move.dlv, error.message)
        if not found and self._database.read(partial(_is_balanced, dvg=dvg)):
            self._database.change(partial(_end_balancing, dvg=dvg), caller=CALLER)


def _is_balanced(connection: Connection, dvg: str) -> bool:
    """Whether a dvg was to be balanced, and is, or nothing more can be done for it."""
    is_wanted = rows.load_dvg(connection, dvg).rebalancing
    return is_wanted and not moves.count_moving(connection, dvg) and not moves.balance_of(connection, dvg, 1)


def _end_balancing(work: Work, dvg: str) -> None:
    """Unless there is something to move by now."""
    found = rows.load_dvg(work.connection, dvg)
    if _is_balanced(work.connection, dvg):
        rows.mark_rebalancing(work.connection, found, rebalancing=False)
        work.tell("balanced", "dvg", dvg)
