"""Leases: who does a work that one at a time is enough for.

No clock is looked at: the holder counts its turns, and whoever sees the same number again and again takes over. Two may
hold one for a while, when a holder was stopped in between. So a lease saves work, and nothing else rests on it.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import insert, select, update

from drystone.cluster.state import schema
from drystone.cluster.state.database import Work


class Lease(NamedTuple):
    """Whose it is, :ivar turns: that holders have counted."""

    holder: str
    turns: int


def count_turn(work: Work, name: str, holder: str, stale: Lease | None) -> Lease:
    """Count a turn, if it is `holder`'s, nobody's, or still as `stale`; the lease after that.

    :raises sqlalchemy.exc.IntegrityError: another was faster; once this is done anew, its lease is found.
    """
    table = schema.leases
    row = work.connection.execute(select(table.c.holder, table.c.turns).where(table.c.name == name)).one_or_none()
    if row is None:
        work.connection.execute(insert(table).values(name=name, holder=holder, turns=1))
        return Lease(holder, 1)
    found = Lease(*row)
    if found.holder != holder and found != stale:
        return found
    same = (table.c.name == name, table.c.holder == found.holder, table.c.turns == found.turns)
    after = Lease(holder, found.turns + 1)
    if work.connection.execute(update(table).where(*same).values(**after._asdict())).rowcount != 1:
        return found
    return after
