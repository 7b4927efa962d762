"""Backups of dlvs, as recorded."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, insert, select, update

from drystone.base.errors import NotFoundError
from drystone.cluster.model.backup import Backup
from drystone.cluster.model.job import ENDED
from drystone.cluster.state import schema
from drystone.cluster.state.database import LostRaceError


def find(connection: Connection, ids: Collection[str]) -> list[Backup]:
    """Those with these ids, in the order of them."""
    table = schema.backups
    query = select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
    return [Backup(**row) for row in connection.execute(query).mappings()]


def load(connection: Connection, backup: str) -> Backup:
    """:raises NotFoundError: there is none of that id."""
    found = find(connection, [backup])
    if not found:
        raise NotFoundError(f"there is no backup {backup[:100]!r}")
    return found[0]


def unfinished(connection: Connection) -> list[str]:
    """The ids of those that have not ended."""
    table = schema.backups
    return list(
        connection.execute(select(table.c.id).where(table.c.status.not_in(ENDED)).order_by(table.c.id)).scalars()
    )


def of_volume(connection: Connection, volume: str) -> list[Backup]:
    """All of a dlv (its id)."""
    table = schema.backups
    return [Backup(**row) for row in connection.execute(select(table).where(table.c.volume == volume)).mappings()]


def add(connection: Connection, backup: Backup) -> None:
    """One that is new."""
    connection.execute(insert(schema.backups).values(**msgspec.structs.asdict(backup)))


def save(connection: Connection, before: Backup, after: Backup) -> None:
    """:raises LostRaceError: it is in another state than `before`."""
    table = schema.backups
    query = update(table).where(table.c.id == before.id, table.c.status == before.status)
    if connection.execute(query.values(**msgspec.structs.asdict(after))).rowcount != 1:
        raise LostRaceError(f"backup {before.id} went on")
