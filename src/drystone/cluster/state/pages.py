"""Pages of a list: what comes after a cursor, filtered, in an order that later pages go on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, select

from drystone.cluster.state import schema


def find_keys(
    connection: Connection,
    table: Table,
    key: str,
    *,
    filters: Mapping[str, Any],
    after: str,
    limit: int,
    descending: bool = False,
) -> tuple[list[str], str]:
    """Keys of rows whose columns have the values of `filters`, and the cursor of the next page ("" on the last one).

    What is made or deleted between two pages is shown or not; all else is shown once. None in `filters` stands for
    whatever value.
    """
    column = table.c[key]
    query = select(column).where(*(table.c[name] == value for name, value in filters.items() if value is not None))
    if after:
        query = query.where(column < after if descending else column > after)
    ordered = query.order_by(column.desc() if descending else column).limit(limit + 1)
    found = list(connection.execute(ordered).scalars())
    return found[:limit], found[limit - 1] if len(found) > limit else ""


def find_events(
    connection: Connection, *, after: int, limit: int, kind: str | None = None, subject: str | None = None
) -> list[Mapping[str, Any]]:
    """Events with numbers above `after`, the oldest first."""
    table = schema.events
    query = select(table).where(table.c.number > after)
    for name, value in (("kind", kind), ("subject", subject)):
        if value is not None:
            query = query.where(table.c[name] == value)
    return [dict(row) for row in connection.execute(query.order_by(table.c.number).limit(limit)).mappings()]
