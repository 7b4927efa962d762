"""What is new of a server and its disks, out of its heartbeat."""

from __future__ import annotations

import logging

from drystone.fleet.documents import Heartbeat
from drystone.fleet.mapping.model import Change, DiskChange, DiskRecord, ServerChange, ServerRecord
from drystone.fleet.mapping.view import View

log = logging.getLogger(__name__)


def note_records(view: View, heartbeat: Heartbeat) -> list[Change]:
    """What the model does not know yet, or knows otherwise. :param view: in which the heartbeat was noted."""
    changes: list[Change] = []
    known = view.model.servers.get(heartbeat.server)
    if known is None or known.url != heartbeat.url:
        why = "heard of for the first time" if known is None else "moved"
        changes.append(ServerChange(ServerRecord(heartbeat.server, heartbeat.url), why))
    for disk in heartbeat.disks:
        if not disk.disk_id:
            continue
        record = view.model.disks.get(disk.disk_id)
        if record is None:
            changes.append(DiskChange(DiskRecord(disk.disk_id, heartbeat.server, disk.name), "seen first"))
        elif (record.server, record.name) != (heartbeat.server, disk.name) and not _is_elsewhere(
            view, record, heartbeat.server
        ):
            moved = DiskRecord(disk.disk_id, heartbeat.server, disk.name, record.mark, record.reason)
            changes.append(DiskChange(moved, f"was in {record.server} as {record.name}"))
    return changes


def _is_elsewhere(view: View, record: DiskRecord, server: str) -> bool:
    """Whether another server has a disk of that identity now: one of the two was copied from the other."""
    if record.server == server or not view.alive(record.server):
        return False
    if view.sightings.disk(record.server, record.disk_id) is None:
        return False
    log.warning("disk %s is in %s and in %s; that in %s is used", record.disk_id, record.server, server, record.server)
    return True
