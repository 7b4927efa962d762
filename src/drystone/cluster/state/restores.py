"""What dlvs are being filled from: rows of `restores`."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, delete, insert, select

from drystone.cluster.model.dlv import Restore
from drystone.cluster.state import schema


def find(connection: Connection, dlvs: Collection[str]) -> dict[str, Restore]:
    """What each of these dlvs (their ids) is filled from; the others are left out."""
    table = schema.restores
    rows = connection.execute(select(table).where(table.c.dlv.in_(dlvs))).mappings()
    return {row["dlv"]: Restore(**{name: row[name] for name in Restore.__struct_fields__}) for row in rows}


def under_way(connection: Connection) -> list[str]:
    """The ids of the jobs of restores whose ihosts are told of them."""
    table = schema.jobs
    query = select(table.c.id).where(table.c.kind == "restore", table.c.status == "processing").order_by(table.c.id)
    return list(connection.execute(query).scalars())


def names_at(connection: Connection, ihost: str) -> list[str]:
    """The names of the dlvs that an ihost is to fill, in their order."""
    table, dlv = schema.restores, schema.dlvs
    query = select(dlv.c.name).join(table, table.c.dlv == dlv.c.id).where(table.c.ihost == ihost)
    return list(connection.execute(query.order_by(dlv.c.name)).scalars())


def save(connection: Connection, dlv: str, before: Restore | None, after: Restore | None) -> None:
    """Have what a dlv (its id) is filled from be `after`."""
    table = schema.restores
    if before == after:
        return
    if before is not None:
        connection.execute(delete(table).where(table.c.dlv == dlv))
    if after is not None:
        connection.execute(insert(table).values(dlv=dlv, **msgspec.structs.asdict(after)))
