"""Backups: the ihost that has a dlv is told of each, again and again, until it is made, failed or canceled.

What an ihost does of it, it may forget: told again it finds the backup in the repository, or goes on with what is there
of it. The snapshot of the newest finished backup to a repository is kept: the next one reads what differs from it. All
others that were made for backups there are deleted then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import DrystoneError, NotFoundError
from drystone.cluster.model.backup import Backup, BackupSeen, BackupWish
from drystone.cluster.model.dlv import Dlv, Snapshot
from drystone.cluster.model.dpv import Ihost
from drystone.cluster.model.job import ENDED
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.state import backups, clones, rows
from drystone.cluster.state.database import Database, Work

log = logging.getLogger(__name__)


class Agent(Protocol):
    """An ihost's agent, as far as backups go."""

    def back_up(self, wish: BackupWish) -> BackupSeen: ...

    def stop_backup(self, backup: str) -> None: ...


class BackupAttendant:
    """Attends to backups, each by one thread. The constructor has no effects. :param agent_at: of an address."""

    def __init__(self, database: Database, agent_at: Callable[[str], Agent]) -> None:
        self._database = database
        self._agent_at = agent_at

    def attend(self, backup_id: str) -> None:
        """Bring a backup as far as it goes by now. :raises DrystoneError: the database failed."""
        backup, dlv, ihost = self._database.read(lambda connection: _load(connection, backup_id))
        if backup.status in ENDED:
            return
        after = self._cancel(backup, dlv, ihost) if backup.status == "canceling" else self._go_on(backup, dlv, ihost)
        if after != backup:
            self._database.change(lambda work: _save(work, backup, after), caller=CALLER)

    def _go_on(self, backup: Backup, dlv: Dlv | None, ihost: Ihost | None) -> Backup:
        snapshot = _find_snapshot(backup, dlv)
        if dlv is None or snapshot is None or snapshot.status in {"deleting", "failed"}:
            return replace(backup, status="failed", reason="its dlv, or its snapshot, was deleted")
        if snapshot.status != "available":
            why = f": {snapshot.reason}" if snapshot.reason else ""
            return replace(backup, reason=f"its snapshot is {snapshot.status}{why}"[:1000])
        if dlv.status != "attached" or ihost is None:
            return replace(backup, reason=f"it goes on when dlv {dlv.name} is attached, which is {dlv.status}")
        wish = BackupWish(
            backup.id, dlv.id, dlv.name, snapshot.name, snapshot.thin_id, snapshot.size, backup.repository
        )
        try:
            seen = self._agent_at(ihost.address).back_up(wish)
        except DrystoneError as error:
            log.info("ihost %s, backup %s: %s", ihost.name, backup.id, error)
            return replace(backup, reason=f"{ihost.name}: {error.message}"[:1000])
        return judge(replace(backup, size=snapshot.size), seen, ihost.name)

    def _cancel(self, backup: Backup, dlv: Dlv | None, ihost: Ihost | None) -> Backup:
        canceled = replace(backup, status="canceled", reason="")
        if dlv is None or ihost is None:
            return canceled
        try:
            self._agent_at(ihost.address).stop_backup(backup.id)
        except NotFoundError:
            return canceled
        except DrystoneError as error:
            return replace(backup, reason=f"{ihost.name}: {error.message}"[:1000])
        return canceled


def judge(backup: Backup, seen: BackupSeen, ihost: str) -> Backup:
    """A backup as it is to be recorded, by what its ihost says of it."""
    if seen.status == "finished":
        size = max(seen.total, seen.done)
        return replace(backup, status="finished", reason="", done=size, total=size, backup=seen.backup)
    if seen.status == "failed":
        return replace(backup, status="failed", reason=f"{ihost}: {seen.reason}"[:1000])
    return replace(backup, status="processing", reason=f"{ihost} makes it", done=seen.done, total=seen.total)


def _load(connection: Connection, backup_id: str) -> tuple[Backup, Dlv | None, Ihost | None]:
    """With its dlv, if that is there, and the ihost that has it."""
    backup = backups.load(connection, backup_id)
    try:
        dlv = rows.find_by_id(connection, backup.volume)
    except NotFoundError:
        return backup, None, None
    if dlv.attachment is None:
        return backup, dlv, None
    return backup, dlv, rows.load_ihost(connection, dlv.attachment.ihost)


def _names_in_use(connection: Connection, dlv: Dlv) -> set[str]:
    """The snapshots that clones are copied from, or that the dlv is to go back to."""
    used = clones.snapshots_in_use(connection, dlv.id) | ({dlv.rollback.snapshot} if dlv.rollback else set())
    return {each.name for each in dlv.snapshots if each.id in used}


def _find_snapshot(backup: Backup, dlv: Dlv | None) -> Snapshot | None:
    return next((each for each in dlv.snapshots if each.name == backup.snapshot), None) if dlv else None


def _save(work: Work, before: Backup, after: Backup) -> None:
    """With the end of a backup, snapshots that no other builds upon are to go."""
    backups.save(work.connection, before, after)
    if after.status == before.status:
        return
    work.tell(after.status, "backup", after.id, after.reason)
    if after.status not in ENDED:
        return
    try:
        dlv = rows.find_by_id(work.connection, after.volume)
    except NotFoundError:
        return
    unwanted = {after.snapshot}
    if after.status == "finished":
        others = backups.of_volume(work.connection, after.volume)
        unwanted = {
            each.snapshot
            for each in others
            if each.id != after.id and each.repository == after.repository and each.status in ENDED
        }
    # What is in use stays until the next backup ends.
    unwanted -= _names_in_use(work.connection, dlv)
    reason = "the pool is to be told when its dlv is attached"
    kept = tuple(
        replace(each, status="deleting", reason=reason) if each.name in unwanted and each.status != "planned" else each
        for each in dlv.snapshots
        if each.name not in unwanted or each.status != "planned"
    )
    if kept != dlv.snapshots:
        rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=kept))
