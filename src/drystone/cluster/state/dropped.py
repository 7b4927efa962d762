"""What hosts may have still and are to give up, until they have confirmed that it is gone.

Legs that dlvs have given up, on the dpvs that they are on; and dlvs that were taken by force, on the ihosts that had
them. Rows are written with the change that makes them so.
"""

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


class DroppedVolume(NamedTuple):
    """:ivar dlv: its id; it may be gone. :ivar epoch: in which the ihost has it no more."""

    dlv: str
    ihost: str
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
    for table in (schema.dropped, schema.dropped_volumes):
        connection.execute(update(table).where(table.c.dlv == dlv).values(epoch=epoch))


def find_volumes(connection: Connection, dlv: str | None = None) -> list[DroppedVolume]:
    """All of them, or those of a dlv (its id)."""
    table = schema.dropped_volumes
    query = select(table) if dlv is None else select(table).where(table.c.dlv == dlv)
    return [DroppedVolume(**row) for row in connection.execute(query.order_by(table.c.dlv, table.c.ihost)).mappings()]


def drop_volume(connection: Connection, dlv: Dlv, ihost: str) -> None:
    """An ihost that `dlv` was taken from, and that has not said so."""
    row = DroppedVolume(dlv.id, ihost, dlv.epoch)
    forget_volume(connection, *row)
    connection.execute(insert(schema.dropped_volumes).values(**row._asdict()))


def forget_volume(connection: Connection, dlv: str, ihost: str, epoch: int) -> None:
    """The ihost has confirmed that it has nothing of a dlv in `epoch`."""
    table = schema.dropped_volumes
    connection.execute(delete(table).where(table.c.dlv == dlv, table.c.ihost == ihost, table.c.epoch <= epoch))
