"""Each kind of change as SQL statements."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, insert, select, update

from drystone.base.errors import MismatchError
from drystone.fleet.mapping import schema
from drystone.fleet.mapping.audit import name_placement
from drystone.fleet.mapping.model import (
    BucketChange,
    Change,
    DiskChange,
    DrillChange,
    FleetChange,
    GroupChange,
    KeyChange,
    LeftoverChange,
    PlacementChange,
    PlacementRemoval,
    ServerChange,
)


def write_change(connection: Connection, change: Change) -> None:
    """Make one change, inside the caller's transaction.

    :raises MismatchError: a placement has another epoch than it must have.
    :raises sqlalchemy.exc.IntegrityError: its host has another placement.
    """
    match change:
        case PlacementChange():
            _write_placement(connection, change)
            if change.led_past:
                _replace(connection, schema.led_past, {"placement": change.placement.id}, None)
                connection.execute(insert(schema.led_past).values(placement=change.placement.id))
        case PlacementRemoval():
            _remove_placement(connection, change)
        case ServerChange(server=server):
            _replace(connection, schema.servers, {"id": server.id}, {"url": server.url, "alive": server.alive})
        case DiskChange(disk=disk):
            values = {"server": disk.server, "name": disk.name, "mark": disk.mark, "reason": disk.reason}
            _replace(connection, schema.disks, {"disk_id": disk.disk_id}, values)
        case LeftoverChange(leftover=leftover, gone=gone):
            where = {"placement": leftover.placement, "disk_id": leftover.disk_id}
            lasting = {"since": leftover.since, "due": leftover.due}
            _replace(connection, schema.leftovers, where, None if gone else lasting)
        case BucketChange(bucket=bucket, gone=gone):
            document = {"document": msgspec.json.encode(bucket).decode()}
            _replace(connection, schema.buckets, {"name": bucket.name}, None if gone else document)
        case KeyChange(key=key, gone=gone):
            document = {"document": msgspec.json.encode(key).decode()}
            _replace(connection, schema.keys, {"name": key.access_key}, None if gone else document)
        case GroupChange(namespace=namespace, host=host, vbuckets=vbuckets):
            where = {"namespace": namespace, "host": host}
            _replace(connection, schema.groups, where, {"vbuckets": json.dumps(vbuckets)})
        case DrillChange(record=record):
            values = dataclasses.asdict(record)
            _replace(connection, schema.drills, {"placement": values.pop("placement")}, values)
        case FleetChange(fleet=fleet, recovering=recovering):
            connection.execute(update(schema.fleet).values(id=fleet, recovering=recovering))
            connection.execute(delete(schema.led_past))


def _write_placement(connection: Connection, change: PlacementChange) -> None:
    table = schema.placements
    placement = change.placement
    values = {
        "epoch": placement.epoch,
        "leader": placement.leader,
        "document": msgspec.json.encode(placement).decode(),
    }
    if change.before == 0:
        _replace(connection, schema.removed, {"id": placement.id}, None)
        connection.execute(
            insert(table).values(id=placement.id, namespace=placement.namespace, host=placement.host, **values)
        )
        return
    result = connection.execute(
        update(table).where(table.c.id == placement.id, table.c.epoch == change.before).values(**values)
    )
    if result.rowcount != 1:
        raise _moved_on(name_placement(placement), change.before)


def _remove_placement(connection: Connection, change: PlacementRemoval) -> None:
    table = schema.placements
    which = table.c.id == change.id, table.c.epoch == change.before
    found = connection.execute(select(table.c.namespace, table.c.host).where(*which)).one_or_none()
    if found is None:
        raise _moved_on(change.id, change.before)
    connection.execute(delete(table).where(*which))
    connection.execute(insert(schema.removed).values(id=change.id, folder=change.folder))
    _replace(connection, schema.drills, {"placement": change.id}, None)
    _replace(connection, schema.led_past, {"placement": change.id}, None)
    _replace(connection, schema.groups, {"namespace": found.namespace, "host": found.host}, None)


def _moved_on(name: str, epoch: int) -> MismatchError:
    return MismatchError(f"placement {name} is not in epoch {epoch} any more")


def _replace(connection: Connection, table: Table, where: Mapping[str, Any], values: Mapping[str, Any] | None) -> None:
    """Have the row that `where` names hold `values`; None: have no such row."""
    matches = [table.c[name] == value for name, value in where.items()]
    if values is None:
        connection.execute(delete(table).where(*matches))
    elif connection.execute(update(table).where(*matches).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**where, **values))
