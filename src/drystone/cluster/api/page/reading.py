"""Reads what the page shows, in one transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select

from drystone.cluster.api.page.board import Board, DlvCard, EventLine, Found, draw_dlv, make_board
from drystone.cluster.state import overview, rows, schema

MOST_DLVS = 100
"""Volumes that are drawn; those that need looking at come first, and each has a page of its own."""
_MOST_JOBS = 100
_EVENTS = 30


def read_board(connection: Connection) -> Board:
    """The board as it is now."""
    names = overview.find_notable(connection, MOST_DLVS)
    found = {each.name: each for each in rows.find_dlvs(connection, names)}
    dvgs = list(connection.execute(select(schema.dvgs.c.name)).scalars())
    return make_board(
        Found(
            tuple(rows.find_dpvs(connection)),
            tuple(rows.find_dvgs(connection, dvgs)),
            tuple(rows.find_ihosts(connection)),
            tuple(found[name] for name in names if name in found),
            overview.count_dlvs(connection),
            overview.count_attached(connection),
            tuple(rows.find_jobs(connection, overview.jobs_under_way(connection, _MOST_JOBS))),
            _read_events(connection),
        )
    )


def read_card(connection: Connection, name: str) -> tuple[DlvCard, tuple[EventLine, ...]]:
    """One volume, and its newest events. :raises NotFoundError: there is none of that name."""
    dlv = rows.load_dlv(connection, name)
    ihosts = {each.name: each for each in rows.find_ihosts(connection)}
    card = draw_dlv(dlv, rows.dpvs_of(connection, dlv), ihosts, rows.jobs_of(connection, name))
    return card, _read_events(connection, name)


def _read_events(connection: Connection, subject: str = "") -> tuple[EventLine, ...]:
    found = overview.newest_events(connection, _EVENTS, subject)
    return tuple(EventLine(**{name: each[name] for name in EventLine._fields}) for each in found)
