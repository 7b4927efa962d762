"""Resizes: a dlv gets larger, while it is in use, by a job. The size is the dlv's as soon as it is answered."""

from __future__ import annotations

from litestar import Response, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from sqlalchemy import Connection

from drystone.base.names import new_uuid
from drystone.base.sizes import format_size
from drystone.cluster.api.desk import Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import NewSize, Preview
from drystone.cluster.model.calls import export_calls, volume_call, volume_wish
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.in_sync import standing
from drystone.cluster.model.job import Job
from drystone.cluster.model.resizing import resize
from drystone.cluster.state import rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest


def plan(connection: Connection, name: str, wanted: NewSize) -> tuple[Dlv, Dlv]:
    """The dlv, and what it becomes. :raises NotFoundError: there is none. Raises as `resizing.resize`."""
    dlv = rows.load_dlv(connection, known(name, "dlv"))
    return dlv, resize(dlv, wanted.size, grow_filesystem=wanted.grow_filesystem)


def preview(connection: Connection, name: str, wanted: NewSize) -> Preview:
    """The calls and tables of an attached dlv that is larger. Raises as `plan`."""
    _, after = plan(connection, name, wanted)
    if after.attachment is None:
        return Preview(after, (), (_reason(after),))
    dpvs = rows.dpvs_of(connection, after)
    ihost = rows.load_ihost(connection, after.attachment.ihost)
    wish = volume_wish(after, standing(after), dpvs)
    return Preview(after, (*export_calls(after, dpvs, [ihost.initiator]), volume_call(after, wish, ihost)))


def start(work: Work, name: str, wanted: NewSize) -> Answer:
    """Record the size, and the job that has its ihost follow. Raises as `plan`."""
    dlv, after = plan(work.connection, name, wanted)
    rows.save_dlv(work.connection, dlv, after)
    fill = after.fill if wanted.grow_filesystem else 0
    job = Job(id=new_uuid(), kind="resize", dlv=dlv.name, status="processing", reason=_reason(after), fill=fill)
    rows.add_job(work.connection, job)
    follows = ", and the file system on it" if fill else ""
    text = f"dlv {dlv.name} from {format_size(dlv.size)} to {format_size(after.size)}{follows}"
    work.tell("processing", "job", job.id, text)
    return told(job, 202)


def _reason(after: Dlv) -> str:
    if after.attachment is None:
        return "it is attached nowhere: its ihost is told with the next attachment"
    return f"{after.attachment.ihost} is to be told of it"


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The route of resizes."""

    @post("/dlvs/{name:str}/resize", status_code=202, responses=answers({200: Preview, 202: Job}, 400, 404, 409),
          operation_id="resizeDlv")  # fmt: skip
    async def resized(
        request: AnyRequest, name: Named, data: JSONBody[NewSize], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:
        """Make a dlv larger, by a job: at once where it is attached, else with its next attachment."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name, data)))
        return await desk.write(request, key, data, lambda work: start(work, name, data))

    return [resized]
