"""What clones are copied from: rows of `clones`."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update

from drystone.cluster.model.dlv import Source
from drystone.cluster.state import schema


def find(connection: Connection, dlvs: Collection[str]) -> dict[str, Source]:
    """What each of these dlvs (their ids) is copied from; those that are no clones are left out."""
    table, dlv = schema.clones, schema.dlvs
    query = select(table, dlv.c.name).join(dlv, dlv.c.id == table.c.source).where(table.c.dlv.in_(dlvs))
    return {
        row.dlv: Source(dlv=row.source, name=row.name, snapshot=row.snapshot, thin_id=row.thin_id, status=row.status)
        for row in connection.execute(query)
    }


def names_of(connection: Connection, source: str) -> list[str]:
    """The names of the clones of a dlv (its id), in their order."""
    table, dlv = schema.clones, schema.dlvs
    query = select(dlv.c.name).join(table, table.c.dlv == dlv.c.id).where(table.c.source == source)
    return list(connection.execute(query.order_by(dlv.c.name)).scalars())


def snapshots_in_use(connection: Connection, source: str) -> frozenset[str]:
    """The snapshots of a dlv (its id), by their ids, that clones are copied from."""
    table = schema.clones
    return frozenset(connection.execute(select(table.c.snapshot).where(table.c.source == source)).scalars())


def save(connection: Connection, dlv: str, before: Source | None, after: Source | None) -> None:
    """Have what a dlv (its id) is copied from be `after`."""
    table = schema.clones
    if before == after:
        return
    if after is None:
        connection.execute(delete(table).where(table.c.dlv == dlv))
        return
    values = {"source": after.dlv, "snapshot": after.snapshot, "thin_id": after.thin_id, "status": after.status}
    if before is None:
        connection.execute(insert(table).values(dlv=dlv, **values))
    else:
        connection.execute(update(table).where(table.c.dlv == dlv).values(**values))
