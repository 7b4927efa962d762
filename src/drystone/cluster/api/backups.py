"""Backups of dlvs: of a snapshot that is made for each, by the agent of the ihost, while the dlv is attached.

Where to is the name of a repository. What it stands for, with its keys, is in the configuration of ihosts, and never
comes here.
"""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace

from drystone.base.errors import BusyError, RefusedError
from drystone.base.names import check_name, new_uuid
from drystone.cluster.api.desk import After, Descending, Desk, Filter, Key, Limit, Named, answers, give, known, told
from drystone.cluster.api.documents import NewBackup, NewSnapshot, Page
from drystone.cluster.api.snapshots import make as make_snapshot
from drystone.cluster.model.backup import PREFIX, Backup
from drystone.cluster.model.job import ENDED
from drystone.cluster.state import backups, rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest


def start(work: Work, name: str, wanted: NewBackup) -> Answer:
    """Have a snapshot made, and record that it is to be backed up.

    :raises NotFoundError: there is no such dlv. :raises RefusedError: it is attached nowhere.
    :raises BusyError: another backup of it is under way.
    """
    dlv = rows.load_dlv(work.connection, known(name, "dlv"))
    check_name(wanted.repository, "repository")
    if dlv.attachment is None or not dlv.wanted:
        raise RefusedError(f"dlv {name} is {dlv.status}", hint="it is backed up by the ihost that it is attached to")
    for other in backups.of_volume(work.connection, dlv.id):
        if other.status not in ENDED:
            raise BusyError(f"dlv {name} is being backed up to {other.repository}", hint=f"wait for backup {other.id}")
    backup = Backup(
        id=(made := new_uuid()),
        dlv=name,
        volume=dlv.id,
        snapshot=f"{PREFIX}{made}",
        size=dlv.size,
        repository=wanted.repository,
        reason="its snapshot is to be made",
    )
    make_snapshot(work, name, NewSnapshot(backup.snapshot))
    backups.add(work.connection, backup)
    work.tell("creating", "backup", backup.id, f"of dlv {name} to {backup.repository}")
    return told(backup, 202)


def cancel(work: Work, backup_id: str) -> Answer:
    """Have it end. What the repository has of it is used by the next one, or pruned.

    :raises NotFoundError: there is none. :raises RefusedError: it has ended.
    """
    backup = backups.load(work.connection, known(backup_id, "backup"))
    if backup.status in {"canceling", "canceled"}:
        return told(backup, 202)
    if backup.status in ENDED:
        raise RefusedError(f"backup {backup.id} is {backup.status}")
    after = replace(backup, status="canceling", reason="its ihost is to end it")
    backups.save(work.connection, backup, after)
    work.tell("canceling", "backup", backup.id)
    return told(after, 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of backups."""

    @post("/dlvs/{name:str}/backups", status_code=202, responses=answers({202: Backup}, 400, 404, 409),
          operation_id="createBackup")  # fmt: skip
    async def made(request: AnyRequest, name: Named, data: JSONBody[NewBackup], key: Key = None) -> Response[bytes]:
        """Back a dlv up that is attached."""
        return await desk.write(request, key, data, lambda work: start(work, name, data))

    @get("/backups", responses=answers({200: Page[Backup]}, 400), operation_id="listBackups")
    async def listed(
        limit: Limit = 100, after: After = "", descending: Descending = False, dlv: Filter = None,
        status: Filter = None, repository: Filter = None,
    ) -> Response[bytes]:  # fmt: skip
        """List backups that were asked for, in the order of their ids."""
        filters = {"dlv": dlv, "status": status, "repository": repository}
        return await desk.page(
            schema.backups, backups.find, after=after, limit=limit, descending=descending, filters=filters, key="id"
        )

    @get("/backups/{name:str}", responses=answers({200: Backup}, 400, 404), operation_id="getBackup")
    async def one(name: Named) -> Response[bytes]:
        """One backup."""
        return give(await desk.read(lambda connection: backups.load(connection, known(name, "backup"))))

    @post("/backups/{name:str}/cancel", status_code=202, responses=answers({202: Backup}, 400, 404, 409),
          operation_id="cancelBackup")  # fmt: skip
    async def canceled(request: AnyRequest, name: Named, key: Key = None) -> Response[bytes]:
        """Cancel a backup that is under way."""
        return await desk.write(request, key, None, lambda work: cancel(work, name))

    return [made, listed, one, canceled]
