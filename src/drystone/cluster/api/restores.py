"""Restores: a backup becomes a new dlv, by a job. An ihost fills it before anybody can have it."""

from __future__ import annotations

from litestar import Response, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import RefusedError
from drystone.base.names import new_uuid
from drystone.base.sizes import format_size
from drystone.cluster.api import dlvs
from drystone.cluster.api.desk import Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import NewDlv, NewRestore, Preview
from drystone.cluster.model.backup import Backup
from drystone.cluster.model.calls import export_calls
from drystone.cluster.model.dlv import Dlv, Restore
from drystone.cluster.model.dpv import Dvg
from drystone.cluster.model.job import Job
from drystone.cluster.state import backups, rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest


def plan(connection: Connection, name: str, wanted: NewRestore) -> tuple[Dvg, Dlv, Backup]:
    """What would be recorded, the dvg as it was when its space was looked at, and the backup.

    :raises NotFoundError: there is no such backup or ihost. :raises RefusedError: the backup is not finished; or the
        ihost is not available. Raises as `dlvs.plan`, too.
    """
    backup = backups.load(connection, known(name, "backup"))
    if backup.status != "finished":
        raise RefusedError(f"backup {backup.id} is {backup.status}", hint="restore one that is finished")
    ihost = rows.load_ihost(connection, known(wanted.ihost, "ihost"))
    if ihost.status != "available":
        raise RefusedError(f"ihost {ihost.name} is {ihost.status}: {ihost.reason}", hint="name one that is available")
    shape = NewDlv(
        wanted.name, wanted.dvg, backup.size, wanted.initial_size, mirrors=wanted.mirrors, stripes=wanted.stripes
    )
    dvg, dlv = dlvs.plan(connection, shape)
    restore = Restore(repository=backup.repository, volume=backup.volume, backup=backup.backup, ihost=wanted.ihost)
    return dvg, replace(dlv, restore=restore), backup


def preview(connection: Connection, name: str, wanted: NewRestore) -> Preview:
    """The calls by which dpvs make the legs, and what is done then. Raises as `plan`."""
    _, dlv, backup = plan(connection, name, wanted)
    what = f"backup {backup.backup} of dlv {backup.dlv} in repository {backup.repository}, {format_size(backup.size)}"
    note = (
        f"ihost {wanted.ihost} puts it together then, without a device for users, fills it from {what}, and gives it up"
    )
    return Preview(dlv, export_calls(dlv, rows.dpvs_of(connection, dlv)), (note,))


def start(work: Work, name: str, wanted: NewRestore) -> Answer:
    """Give its space out, and record the job. Raises as `plan`."""
    rows.lock_dvg(work.connection, wanted.dvg)
    dvg, dlv, backup = plan(work.connection, name, wanted)
    job = Job(id=new_uuid(), kind="restore", dlv=dlv.name, reason=dlv.reason, total=dlv.size)
    rows.touch_dvg(work.connection, dvg)
    rows.add_dlv(work.connection, dlv)
    rows.add_job(work.connection, job)
    work.tell("creating", "dlv", dlv.name, f"{len(dlv.legs)} legs in dvg {dvg.name}")
    work.tell("creating", "job", job.id, f"restore backup {backup.id} of dlv {backup.dlv} as {dlv.name}")
    return told(job, 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The route of restores."""

    @post("/backups/{name:str}/restore", status_code=202, responses=answers({200: Preview, 202: Job}, 400, 404, 409),
          operation_id="restoreBackup")  # fmt: skip
    async def restored(
        request: AnyRequest, name: Named, data: JSONBody[NewRestore], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:
        """Make a new dlv of a backup, by a job. It is detached when that is finished, and nobody has it before."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name, data)))
        return await desk.write(request, key, data, lambda work: start(work, name, data))

    return [restored]
