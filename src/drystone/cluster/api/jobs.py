"""Jobs: looked at and canceled; a dlv's pool is extended by another group, whose space is given out with the job."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import RefusedError
from drystone.cluster.api import clones, rollbacks
from drystone.cluster.api.desk import (
    After,
    Descending,
    Desk,
    DryRun,
    Filter,
    Key,
    Limit,
    Named,
    answers,
    give,
    known,
    told,
)
from drystone.cluster.api.documents import Extension, Page, Preview
from drystone.cluster.model.calls import export_calls
from drystone.cluster.model.in_sync import withdraw
from drystone.cluster.model.job import Job, check_step
from drystone.cluster.state import rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.cluster.state.space import plan_extension, start_extension
from drystone.wire.application import AnyRequest


def preview(connection: Connection, name: str, wanted: Extension) -> Preview:
    """The calls by which dpvs make the legs. Raises as `space.plan_extension`."""
    _, _, after = plan_extension(connection, known(name, "dlv"), wanted.size)
    return Preview(after, export_calls(after, rows.dpvs_of(connection, after)))


def start(work: Work, name: str, wanted: Extension) -> Answer:
    """Give the space out, and record the job. Raises as `space.plan_extension`."""
    return told(start_extension(work, known(name, "dlv"), wanted.size), 202)


def cancel(work: Work, job_id: str) -> Answer:
    """Give the group back, or let the volume stay as it is, while no agent was told of it; then it is canceled. What is
    being copied or restored is deleted.

    :raises NotFoundError: there is no such job. :raises RefusedError: it is too late, or another group came after it.
    """
    job = rows.load_job(work.connection, known(job_id, "job"))
    if job.status in {"canceling", "canceled"}:
        return told(job, 202)
    if job.kind in {"clone", "restore"}:
        return clones.cancel(work, job)
    if job.kind in {"failover", "move"}:
        raise RefusedError(f"job {job.id} puts legs of dlv {job.dlv} elsewhere", hint="let the job finish")
    if job.kind == "resize":
        raise RefusedError(f"dlv {job.dlv} is larger already, and is not made smaller", hint="let the job finish")
    check_step(job, "canceling")
    if job.kind == "rollback":
        return rollbacks.cancel(work, job)
    dlv = rows.load_dlv(work.connection, job.dlv)
    if any(leg.status != "planned" for leg in dlv.legs if leg.group == job.group):
        raise RefusedError(f"agents have been told of group {job.group} of dlv {dlv.name}", hint="let the job finish")
    rows.save_dlv(work.connection, dlv, withdraw(dlv, job.group).dlv)
    after = replace(job, status="canceled", reason="before any agent was told of it")
    rows.save_job(work.connection, job, after)
    work.tell("canceled", "job", job.id)
    return told(after, 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of jobs."""

    @post("/dlvs/{name:str}/extend", status_code=202, responses=answers({200: Preview, 202: Job}, 400, 404, 409),
          operation_id="extendDlv")  # fmt: skip
    async def extended(
        request: AnyRequest, name: Named, data: JSONBody[Extension], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:
        """Add a group to the pool of a dlv, by a job."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name, data)))
        return await desk.write(request, key, data, lambda work: start(work, name, data))

    @get("/jobs", responses=answers({200: Page[Job]}, 400), operation_id="listJobs")
    async def listed(
        limit: Limit = 100, after: After = "", descending: Descending = False, dlv: Filter = None,
        status: Filter = None, kind: Filter = None,
    ) -> Response[bytes]:  # fmt: skip
        """List jobs, in the order of their ids."""
        filters = {"dlv": dlv, "status": status, "kind": kind}
        return await desk.page(
            schema.jobs, rows.find_jobs, after=after, limit=limit, descending=descending, filters=filters, key="id"
        )

    @get("/jobs/{name:str}", responses=answers({200: Job}, 400, 404), operation_id="getJob")
    async def one(name: Named) -> Response[bytes]:
        """One job."""
        return give(await desk.read(lambda connection: rows.load_job(connection, known(name, "job"))))

    @post("/jobs/{name:str}/cancel", status_code=202, responses=answers({202: Job}, 400, 404, 409),
          operation_id="cancelJob")  # fmt: skip
    async def canceled(request: AnyRequest, name: Named, key: Key = None) -> Response[bytes]:
        """Cancel a job of which no agent was told; or a clone or a restore that has not all yet, which is deleted."""
        return await desk.write(request, key, None, lambda work: cancel(work, name))

    return [extended, listed, one, canceled]
