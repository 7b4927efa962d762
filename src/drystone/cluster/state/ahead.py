"""Dpvs that know more of a dlv than the record does, which is an old copy then: until an operator has given that up.

An agent refuses what is older than what it knows. That alone holds only until the record has counted on: each wish of a
user, and each try of one, makes a new epoch.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from drystone.cluster.state import schema


def find(connection: Connection, dlv: str) -> dict[str, int]:
    """The epochs that dpvs (their names) know of a dlv (its id)."""
    table = schema.ahead
    rows = connection.execute(select(table.c.dpv, table.c.epoch).where(table.c.dlv == dlv).order_by(table.c.dpv))
    return {row.dpv: row.epoch for row in rows}


def note(connection: Connection, dlv: str, dpv: str, epoch: int) -> None:
    """A dpv knows an epoch of a dlv (its id) that was never recorded here."""
    table = schema.ahead
    connection.execute(delete(table).where(table.c.dlv == dlv, table.c.dpv == dpv))
    connection.execute(insert(table).values(dlv=dlv, dpv=dpv, epoch=epoch))


def forget(connection: Connection, dlv: str) -> None:
    """Of a dlv (its id): what they know is given up, or the dlv is gone."""
    connection.execute(delete(schema.ahead).where(schema.ahead.c.dlv == dlv))
