"""Rows as values of the model, and values as rows: where every read and write of a table is."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, or_, select, union_all, update

from drystone.base.errors import NotFoundError
from drystone.cluster.model.dlv import Attachment, Dlv, Group, Leg, Rollback, Snapshot
from drystone.cluster.model.dpv import Dpv, Dvg, Ihost
from drystone.cluster.model.job import ENDED, Job
from drystone.cluster.state import clones, restores, schema
from drystone.cluster.state.database import LostRaceError

_SECRET_BYTES = 24
"""Of chance in a leg's CHAP secret, which is a third longer as text."""

Part = TypeVar("Part", Group, Leg, Snapshot)

_DLV_COLUMNS = tuple(
    name
    for name in schema.dlvs.c.keys()  # noqa: SIM118  # a collection of columns is no mapping
    if name not in {"messages", "wanted", "ihost", "attached_epoch", "rollback_snapshot", "rollback_thin_id"}
)


def _missing(what: str, name: str) -> NotFoundError:
    return NotFoundError(f"there is no {what} {name!r}")


# Hosts


def find_dpvs(connection: Connection, names: Collection[str] | None = None, dvg: str | None = None) -> list[Dpv]:
    """Dpvs in the order of their names: those of `names`, or of a dvg."""
    table = schema.dpvs
    there = union_all(*(select(each.c.dpv, each.c.extents) for each in (schema.legs, schema.dropped))).subquery()
    used = select(there.c.dpv, func.sum(there.c.extents).label("used")).group_by(there.c.dpv).subquery()
    query = select(table, func.coalesce(used.c.used, 0).label("used")).outerjoin(used, used.c.dpv == table.c.name)
    if names is not None:
        query = query.where(table.c.name.in_(names))
    if dvg is not None:
        query = query.where(table.c.dvg == dvg)
    rows = connection.execute(query.order_by(table.c.name)).mappings()
    return [Dpv(**{**row, "used": int(row["used"]), "dvg": row["dvg"] or ""}) for row in rows]


def dpvs_of(connection: Connection, dlv: Dlv) -> dict[str, Dpv]:
    """The dpvs that the legs of a dlv are on, by name."""
    return {dpv.name: dpv for dpv in find_dpvs(connection, {leg.dpv for leg in dlv.legs})}


def load_dpv(connection: Connection, name: str) -> Dpv:
    """:raises NotFoundError: there is none of that name."""
    found = find_dpvs(connection, [name])
    if not found:
        raise _missing("dpv", name)
    return found[0]


def add_dpv(connection: Connection, dpv: Dpv) -> None:
    """One that is new. :raises sqlalchemy.exc.IntegrityError: there is one of that name."""
    connection.execute(insert(schema.dpvs).values(**_dpv_row(dpv)))


def save_dpv(connection: Connection, before: Dpv, after: Dpv) -> None:
    """:raises LostRaceError: it is not as `before` any more."""
    table = schema.dpvs
    had = _dpv_row(before)
    same = [table.c[key].is_(None) if value is None else table.c[key] == value for key, value in had.items()]
    changed = {key: value for key, value in _dpv_row(after).items() if had[key] != value}
    if changed and connection.execute(update(table).where(*same).values(**changed)).rowcount != 1:
        raise LostRaceError(before.name)


def remove_dpv(connection: Connection, dpv: Dpv) -> None:
    """:raises LostRaceError: it is gone. :raises sqlalchemy.exc.IntegrityError: there are legs on it."""
    table = schema.dpvs
    if connection.execute(delete(table).where(table.c.name == dpv.name, table.c.dvg.is_(None))).rowcount != 1:
        raise LostRaceError(dpv.name)


def _dpv_row(dpv: Dpv) -> dict[str, Any]:
    row = msgspec.structs.asdict(dpv)
    del row["used"]
    return {**row, "dvg": dpv.dvg or None}


def find_dvgs(connection: Connection, names: Collection[str]) -> list[Dvg]:
    """Dvgs in the order of their names."""
    table, dpvs = schema.dvgs, schema.dpvs
    rows = connection.execute(select(table).where(table.c.name.in_(names)).order_by(table.c.name)).all()
    found = connection.execute(select(dpvs.c.dvg, dpvs.c.name).where(dpvs.c.dvg.in_(names)).order_by(dpvs.c.name)).all()
    return [
        Dvg(
            name=row.name,
            version=row.version,
            dpvs=tuple(each.name for each in found if each.dvg == row.name),
            rebalancing=row.rebalancing,
        )
        for row in rows
    ]


def load_dvg(connection: Connection, name: str) -> Dvg:
    """:raises NotFoundError: there is none of that name."""
    found = find_dvgs(connection, [name])
    if not found:
        raise _missing("dvg", name)
    return found[0]


def lock_dvg(connection: Connection, name: str) -> None:
    """Wait for whoever else gives out of this dvg, rather than losing the race. SQLite has one writer anyway."""
    table = schema.dvgs
    connection.execute(select(table.c.version).where(table.c.name == name).with_for_update())


def add_dvg(connection: Connection, name: str) -> None:
    """One that is new, without dpvs. :raises sqlalchemy.exc.IntegrityError: there is one of that name."""
    connection.execute(insert(schema.dvgs).values(name=name, version=1))


def touch_dvg(connection: Connection, dvg: Dvg) -> None:
    """Have whoever else gives out of this dvg, or changes what is in it, look again.

    :raises LostRaceError: somebody did since it was read.
    """
    table = schema.dvgs
    query = update(table).where(table.c.name == dvg.name, table.c.version == dvg.version)
    if connection.execute(query.values(version=dvg.version + 1)).rowcount != 1:
        raise LostRaceError(dvg.name)


def mark_rebalancing(connection: Connection, dvg: Dvg, *, rebalancing: bool) -> None:
    """Record whether a dvg is being balanced. :raises LostRaceError: it changed since it was read."""
    table = schema.dvgs
    query = update(table).where(table.c.name == dvg.name, table.c.version == dvg.version)
    if connection.execute(query.values(version=dvg.version + 1, rebalancing=rebalancing)).rowcount != 1:
        raise LostRaceError(dvg.name)


def remove_dvg(connection: Connection, dvg: Dvg) -> None:
    """:raises LostRaceError: it changed since it was read. :raises sqlalchemy.exc.IntegrityError: it is in use."""
    table = schema.dvgs
    if connection.execute(delete(table).where(table.c.name == dvg.name, table.c.version == dvg.version)).rowcount != 1:
        raise LostRaceError(dvg.name)


def find_ihosts(connection: Connection, names: Collection[str] | None = None) -> list[Ihost]:
    """Ihosts in the order of their names: those of `names`, or all."""
    table = schema.ihosts
    query = select(table) if names is None else select(table).where(table.c.name.in_(names))
    return [Ihost(**row) for row in connection.execute(query.order_by(table.c.name)).mappings()]


def load_ihost(connection: Connection, name: str) -> Ihost:
    """:raises NotFoundError: there is none of that name."""
    found = find_ihosts(connection, [name])
    if not found:
        raise _missing("ihost", name)
    return found[0]


def find_initiator(connection: Connection, initiator: str) -> Ihost | None:
    """The ihost with that iSCSI name, None for none."""
    table = schema.ihosts
    row = connection.execute(select(table).where(table.c.initiator == initiator)).mappings().one_or_none()
    return None if row is None else Ihost(**row)


def add_ihost(connection: Connection, ihost: Ihost) -> None:
    """:raises sqlalchemy.exc.IntegrityError: there is one of that name, or with that initiator."""
    connection.execute(insert(schema.ihosts).values(**msgspec.structs.asdict(ihost)))


def save_ihost(connection: Connection, before: Ihost, after: Ihost) -> None:
    """:raises LostRaceError: it is not as `before` any more."""
    table = schema.ihosts
    had, has = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    same = [table.c[key] == value for key, value in had.items()]
    changed = {key: value for key, value in has.items() if had[key] != value}
    if changed and connection.execute(update(table).where(*same).values(**changed)).rowcount != 1:
        raise LostRaceError(before.name)


def remove_ihost(connection: Connection, name: str) -> None:
    """With it goes what it was to give up: nobody asks it any more.

    :raises sqlalchemy.exc.IntegrityError: a dlv is attached to it.
    """
    connection.execute(delete(schema.dropped_volumes).where(schema.dropped_volumes.c.ihost == name))
    connection.execute(delete(schema.ihosts).where(schema.ihosts.c.name == name))


# Volumes


def find_dlvs(connection: Connection, names: Collection[str]) -> list[Dlv]:
    """Dlvs with all that they are made of, in the order of their names."""
    table = schema.dlvs
    rows = connection.execute(select(table).where(table.c.name.in_(names)).order_by(table.c.name)).mappings().all()
    ids = [row["id"] for row in rows]
    groups = _parts(connection, schema.groups, Group, ids, "number")
    legs = _parts(connection, schema.legs, Leg, ids, "group", "stripe", "place")
    snapshots = _parts(connection, schema.snapshots, Snapshot, ids, "thin_id")
    sources = clones.find(connection, ids)
    filled = restores.find(connection, ids)
    return [
        Dlv(
            **{name: row[name] for name in _DLV_COLUMNS},
            messages=msgspec.json.decode(row["messages"], type=tuple[str, ...]),
            groups=tuple(groups.get(row["id"], ())),
            legs=tuple(legs.get(row["id"], ())),
            snapshots=tuple(snapshots.get(row["id"], ())),
            wanted=row["wanted"] or "",
            attachment=None if row["ihost"] is None else Attachment(ihost=row["ihost"], epoch=row["attached_epoch"]),
            rollback=None
            if row["rollback_snapshot"] is None
            else Rollback(snapshot=row["rollback_snapshot"], thin_id=row["rollback_thin_id"]),
            source=sources.get(row["id"]),
            restore=filled.get(row["id"]),
        )
        for row in rows
    ]


def _parts(
    connection: Connection, table: Table, kind: type[Part], dlvs: Collection[str], *order: str
) -> dict[str, list[Part]]:
    """Rows of a table by the dlv that they belong to."""
    query = select(table).where(table.c.dlv.in_(dlvs)).order_by(*(table.c[name] for name in order))
    found: dict[str, list[Part]] = {}
    for row in connection.execute(query).mappings():
        values = {key: value for key, value in row.items() if key not in {"dlv", "secret"}}
        found.setdefault(row["dlv"], []).append(kind(**values))
    return found


def find_secrets(connection: Connection, dlv: str) -> dict[str, str]:
    """The secrets of a dlv's legs, by the legs' ids. Each was made with the leg's row."""
    table = schema.legs
    rows = connection.execute(select(table.c.id, table.c.secret).where(table.c.dlv == dlv))
    return {row.id: row.secret for row in rows}


def find_by_id(connection: Connection, dlv: str) -> Dlv:
    """:raises NotFoundError: there is no dlv of that id."""
    name = connection.execute(select(schema.dlvs.c.name).where(schema.dlvs.c.id == dlv)).scalar()
    if name is None:
        raise _missing("dlv", dlv[:100])
    return load_dlv(connection, name)


def load_dlv(connection: Connection, name: str) -> Dlv:
    """:raises NotFoundError: there is none of that name."""
    found = find_dlvs(connection, [name])
    if not found:
        raise _missing("dlv", name)
    return found[0]


def dlv_names(connection: Connection) -> dict[str, str]:
    """The names of all dlvs, by their ids, in their order."""
    table = schema.dlvs
    return {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name).order_by(table.c.name))}


def names_of(connection: Connection, names: Collection[str]) -> list[str]:
    """Those of the names that dlvs have."""
    table = schema.dlvs
    return list(
        connection.execute(select(table.c.name).where(table.c.name.in_(names)).order_by(table.c.name)).scalars()
    )


def names_in(connection: Connection, dvg: str) -> list[str]:
    """The dlvs that are given out of a dvg."""
    table = schema.dlvs
    return list(connection.execute(select(table.c.name).where(table.c.dvg == dvg).order_by(table.c.name)).scalars())


def names_at(connection: Connection, ihost: str) -> list[str]:
    """The dlvs that are attached to an ihost, or are to be."""
    table = schema.dlvs
    here = or_(table.c.ihost == ihost, table.c.wanted == ihost)
    return list(connection.execute(select(table.c.name).where(here).order_by(table.c.name)).scalars())


def add_dlv(connection: Connection, dlv: Dlv) -> None:
    """One that is new. :raises sqlalchemy.exc.IntegrityError: there is one of that name."""
    connection.execute(insert(schema.dlvs).values(**_dlv_row(dlv)))
    _save_parts(connection, schema.groups, dlv.id, (), dlv.groups, "number")
    _save_parts(connection, schema.legs, dlv.id, (), dlv.legs, "id")
    _save_parts(connection, schema.snapshots, dlv.id, (), dlv.snapshots, "id")
    clones.save(connection, dlv.id, None, dlv.source)
    restores.save(connection, dlv.id, None, dlv.restore)


def save_dlv(connection: Connection, before: Dlv, after: Dlv) -> Dlv:
    """Have the dlv be `after`; what is returned is that with its new version.

    :raises LostRaceError: it is not of the version of `before` any more.
    """
    saved = msgspec.structs.replace(after, version=before.version + 1)
    table = schema.dlvs
    same = (table.c.id == before.id, table.c.version == before.version, table.c.epoch == before.epoch)
    if connection.execute(update(table).where(*same).values(**_dlv_row(saved))).rowcount != 1:
        raise LostRaceError(before.name)
    _save_parts(connection, schema.groups, before.id, before.groups, after.groups, "number")
    _save_parts(connection, schema.legs, before.id, before.legs, after.legs, "id")
    _save_parts(connection, schema.snapshots, before.id, before.snapshots, after.snapshots, "id")
    clones.save(connection, before.id, before.source, after.source)
    restores.save(connection, before.id, before.restore, after.restore)
    return saved


def remove_dlv(connection: Connection, dlv: Dlv) -> None:
    """It and all that it is made of. :raises LostRaceError: it changed since it was read."""
    for parts in (schema.snapshots, schema.legs, schema.groups, schema.clones, schema.restores):
        connection.execute(delete(parts).where(parts.c.dlv == dlv.id))
    table = schema.dlvs
    same = (table.c.id == dlv.id, table.c.version == dlv.version, table.c.epoch == dlv.epoch)
    if connection.execute(delete(table).where(*same)).rowcount != 1:
        raise LostRaceError(dlv.name)


def _dlv_row(dlv: Dlv) -> dict[str, Any]:
    row = {name: getattr(dlv, name) for name in _DLV_COLUMNS}
    row["messages"] = msgspec.json.encode(dlv.messages).decode()
    row["wanted"] = dlv.wanted or None
    row["ihost"] = None if dlv.attachment is None else dlv.attachment.ihost
    row["attached_epoch"] = 0 if dlv.attachment is None else dlv.attachment.epoch
    row["rollback_snapshot"] = None if dlv.rollback is None else dlv.rollback.snapshot
    row["rollback_thin_id"] = 0 if dlv.rollback is None else dlv.rollback.thin_id
    return row


def _save_parts(
    connection: Connection, table: Table, dlv: str, before: Collection[Part], after: Collection[Part], key: str
) -> None:
    """Have the rows of a dlv be `after`: those that are gone first, as another may take their place."""
    old = {getattr(each, key): each for each in before}
    new = {getattr(each, key): each for each in after}
    mine = table.c.dlv == dlv
    if gone := old.keys() - new.keys():
        connection.execute(delete(table).where(mine, table.c[key].in_(gone)))
    for name, part in new.items():
        values = msgspec.structs.asdict(part)
        if name not in old:
            if table is schema.legs:
                values["secret"] = secrets.token_urlsafe(_SECRET_BYTES)
            connection.execute(insert(table).values(dlv=dlv, **values))
        elif old[name] != part:
            connection.execute(update(table).where(mine, table.c[key] == name).values(**values))


# Jobs


def find_jobs(connection: Connection, ids: Collection[str]) -> list[Job]:
    """Jobs in the order of their ids."""
    table = schema.jobs
    query = select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
    return [Job(**row) for row in connection.execute(query).mappings()]


def jobs_of(connection: Connection, dlv: str) -> list[Job]:
    """The jobs of a dlv that have not ended, in the order of their ids."""
    table = schema.jobs
    query = select(table).where(table.c.dlv == dlv, table.c.status.not_in(ENDED)).order_by(table.c.id)
    return [Job(**row) for row in connection.execute(query).mappings()]


def load_job(connection: Connection, job: str) -> Job:
    """:raises NotFoundError: there is none of that id."""
    found = find_jobs(connection, [job])
    if not found:
        raise _missing("job", job)
    return found[0]


def add_job(connection: Connection, job: Job) -> None:
    """One that is new."""
    connection.execute(insert(schema.jobs).values(**msgspec.structs.asdict(job)))


def cancel_jobs(connection: Connection, dlv: str, reason: str) -> None:
    """Have all jobs of a dlv that have not ended be canceled."""
    table = schema.jobs
    under_way = table.c.status.not_in(ENDED)
    connection.execute(update(table).where(table.c.dlv == dlv, under_way).values(status="canceled", reason=reason))


def save_job(connection: Connection, before: Job, after: Job) -> None:
    """:raises LostRaceError: it is in another state than `before`."""
    table = schema.jobs
    query = update(table).where(table.c.id == before.id, table.c.status == before.status)
    changed = {"status": after.status, "reason": after.reason, "done": after.done, "total": after.total}
    if connection.execute(query.values(**changed)).rowcount != 1:
        raise LostRaceError(before.id)
