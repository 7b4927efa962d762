"""Dpvs and ihosts that know more of a dlv than the record does, which is an old copy then: until an operator has given
that up.

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


def find_ihosts(connection: Connection, dlv: str) -> dict[str, int]:
    """The epochs that ihosts (their names) know of a dlv (its id)."""
    table = schema.ahead_ihosts
    rows = connection.execute(select(table.c.ihost, table.c.epoch).where(table.c.dlv == dlv).order_by(table.c.ihost))
    return {row.ihost: row.epoch for row in rows}


def find_dlvs(connection: Connection, ihost: str) -> list[str]:
    """The dlvs (their ids) that an ihost knows such an epoch of."""
    table = schema.ahead_ihosts
    return list(connection.scalars(select(table.c.dlv).where(table.c.ihost == ihost).order_by(table.c.dlv)))


def note(connection: Connection, dlv: str, dpv: str, epoch: int) -> None:
    """A dpv knows an epoch of a dlv (its id) that was never recorded here."""
    table = schema.ahead
    connection.execute(delete(table).where(table.c.dlv == dlv, table.c.dpv == dpv))
    connection.execute(insert(table).values(dlv=dlv, dpv=dpv, epoch=epoch))


def note_ihost(connection: Connection, dlv: str, ihost: str, epoch: int) -> None:
    """An ihost knows an epoch of a dlv (its id) that was never recorded here."""
    table = schema.ahead_ihosts
    connection.execute(delete(table).where(table.c.dlv == dlv, table.c.ihost == ihost))
    connection.execute(insert(table).values(dlv=dlv, ihost=ihost, epoch=epoch))


def forget(connection: Connection, dlv: str) -> None:
    """Of a dlv (its id): what they know is given up, or the dlv is gone."""
    for table in (schema.ahead, schema.ahead_ihosts):
        connection.execute(delete(table).where(table.c.dlv == dlv))
