"""Legs that dlvs have given up, until the dpvs that they are on have confirmed that they are gone."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from drystone.cluster.model.dlv import Dlv, Leg
from drystone.cluster.state import schema


class Dropped(NamedTuple):
    """:ivar dlv: the id of its dlv, which may be gone. :ivar epoch: in which that has the leg no more."""

    id: str
    dlv: str
    dpv: str
    extents: int
    epoch: int


def find(connection: Connection, dlv: str | None = None) -> list[Dropped]:
    """All of them, or those of a dlv (its id)."""
    table = schema.dropped
    query = select(table) if dlv is None else select(table).where(table.c.dlv == dlv)
    return [Dropped(**row) for row in connection.execute(query.order_by(table.c.id)).mappings()]


def drop(connection: Connection, dlv: Dlv, leg: Leg) -> None:
    """A leg that `dlv` has no more. A dpv that was never told of it has nothing to remove."""
    if leg.status != "planned":
        row = Dropped(leg.id, dlv.id, leg.dpv, leg.extents, dlv.epoch)
        connection.execute(insert(schema.dropped).values(**row._asdict()))


def forget(connection: Connection, dlv: str, dpvs: Collection[str], epoch: int) -> None:
    """These dpvs have confirmed what they have of a dlv in `epoch`."""
    table = schema.dropped
    connection.execute(delete(table).where(table.c.dlv == dlv, table.c.dpv.in_(dpvs), table.c.epoch <= epoch))


def keep_until(connection: Connection, dlv: str, epoch: int) -> None:
    """The dlv is gone: what is left of it is to be removed in `epoch`."""
    table = schema.dropped
    connection.execute(update(table).where(table.c.dlv == dlv).values(epoch=epoch))
