"""What is to be seen of a cluster at a glance: counts, the volumes that need looking at, the newest events and jobs.

Each query's cost is bounded by what it returns or by one pass over a table; none loads all volumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, func, literal, or_, select

from drystone.cluster.model.dlv import DlvStatus
from drystone.cluster.model.job import ENDED
from drystone.cluster.state import schema

_SETTLED: tuple[DlvStatus, ...] = ("attached", "detached")


class LegCounts(NamedTuple):
    """Legs by what can be expected of them. :ivar behind: they lack writes, and nothing copies to them now."""

    in_sync: int
    copying: int
    behind: int
    unmade: int


def count_dlvs(connection: Connection) -> dict[str, int]:
    """How many dlvs have each status."""
    table = schema.dlvs
    rows = connection.execute(select(table.c.status, func.count()).group_by(table.c.status))
    return {status: int(number) for status, number in rows}


def count_attached(connection: Connection) -> dict[str, int]:
    """How many dlvs each ihost has, or may have."""
    table = schema.dlvs
    query = select(table.c.ihost, func.count()).where(table.c.ihost.is_not(None)).group_by(table.c.ihost)
    return {ihost: int(number) for ihost, number in connection.execute(query)}


def count_jobs(connection: Connection) -> dict[tuple[str, str], int]:
    """How many jobs have each kind and status."""
    table = schema.jobs
    rows = connection.execute(select(table.c.kind, table.c.status, func.count()).group_by(table.c.kind, table.c.status))
    return {(kind, status): int(number) for kind, status, number in rows}


def count_legs(connection: Connection) -> LegCounts:
    """How many legs there are of each kind."""
    table = schema.legs
    ready = table.c.status == "ready"
    kinds = (
        ready & table.c.in_sync,
        ready & ~table.c.in_sync & table.c.copying,
        ready & ~table.c.in_sync & ~table.c.copying,
        ~ready,
    )
    counts = connection.execute(select(*(func.sum(case((kind, 1), else_=0)) for kind in kinds))).one()
    return LegCounts(*(int(each or 0) for each in counts))


def find_notable(connection: Connection, limit: int) -> list[str]:
    """The names of `limit` dlvs at most: first those that are on their way, or have a leg in no set
    or on a dpv that is not available; then the others."""
    dlvs, legs, dpvs = schema.dlvs, schema.legs, schema.dpvs
    there = select(legs.c.dlv).join(dpvs, dpvs.c.name == legs.c.dpv)
    lacking = there.where(or_(~legs.c.in_sync, dpvs.c.status != "available"))
    troubled = or_(dlvs.c.status.not_in(_SETTLED), dlvs.c.id.in_(lacking))
    rank = case((troubled, literal(0)), else_=literal(1))
    return list(connection.execute(select(dlvs.c.name).order_by(rank, dlvs.c.name).limit(limit)).scalars())


def newest_events(connection: Connection, limit: int, subject: str = "") -> list[Mapping[str, Any]]:
    """The newest events, the newest first. :param subject: a dlv's name: only its own and its snapshots'."""
    table = schema.events
    query = select(table)
    if subject:
        own = (table.c.kind == "dlv") & (table.c.subject == subject)
        parts = (table.c.kind == "snapshot") & table.c.subject.startswith(f"{subject}@", autoescape=True)
        query = query.where(own | parts)
    return [dict(row) for row in connection.execute(query.order_by(table.c.number.desc()).limit(limit)).mappings()]


def jobs_under_way(connection: Connection, limit: int) -> list[str]:
    """The ids of jobs that have not ended."""
    table = schema.jobs
    query = select(table.c.id).where(table.c.status.not_in(ENDED)).order_by(table.c.dlv, table.c.id).limit(limit)
    return list(connection.execute(query).scalars())
