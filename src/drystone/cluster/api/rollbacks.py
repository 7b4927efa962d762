"""Rollbacks: a detached dlv goes back to what a snapshot of it holds, by a job that its next attachment carries out."""

from __future__ import annotations

from litestar import Response, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.names import new_uuid
from drystone.cluster.api.clones import find_snapshot
from drystone.cluster.api.desk import Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import Preview, RollbackWish
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.job import Job
from drystone.cluster.model.resizing import name_of, plan_rollback, rollback_messages, withdraw_rollback
from drystone.cluster.state import rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest


def plan(connection: Connection, name: str, wanted: RollbackWish) -> tuple[Dlv, Dlv]:
    """The dlv, and what it becomes.

    :raises NotFoundError: there is no such dlv or snapshot. Raises as `resizing.plan_rollback`.
    """
    dlv = rows.load_dlv(connection, known(name, "dlv"))
    return dlv, plan_rollback(dlv, find_snapshot(dlv, wanted.snapshot))


def preview(connection: Connection, name: str, wanted: RollbackWish) -> Preview:
    """What is lost by it, and what the pool will be told. Raises as `plan`."""
    _, after = plan(connection, name, wanted)
    assert after.rollback is not None, "planned"
    messages = "; ".join(rollback_messages(after, after.rollback))
    lost = f"what was written to dlv {name} since its snapshot {wanted.snapshot} was made is lost for good"
    kept = "its size and its snapshots stay as they are"
    how = f"its pool is told with the next attachment, in one transaction: {messages}"
    return Preview(after, (), (lost, kept, how))


def start(work: Work, name: str, wanted: RollbackWish) -> Answer:
    """Record it, and the job. Durable when it is answered: nobody opens the volume again before it is done.

    Raises as `plan`.
    """
    dlv, after = plan(work.connection, name, wanted)
    assert after.rollback is not None, "planned"
    rows.save_dlv(work.connection, dlv, after)
    job = Job(id=new_uuid(), kind="rollback", dlv=dlv.name, reason="the next attachment does it")
    rows.add_job(work.connection, job)
    work.tell("creating", "job", job.id, f"roll dlv {dlv.name} back to {name_of(after, after.rollback)}")
    return told(job, 202)


def cancel(work: Work, job: Job) -> Answer:
    """Have the dlv stay as it is. :raises RefusedError: the pool may have been told."""
    dlv = rows.load_dlv(work.connection, job.dlv)
    rows.save_dlv(work.connection, dlv, withdraw_rollback(dlv))
    after = replace(job, status="canceled", reason="before its pool was told of it")
    rows.save_job(work.connection, job, after)
    work.tell("canceled", "job", job.id)
    return told(after, 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The route of rollbacks."""

    @post("/dlvs/{name:str}/rollback", status_code=202, responses=answers({200: Preview, 202: Job}, 400, 404, 409),
          operation_id="rollBackDlv")  # fmt: skip
    async def rolled_back(
        request: AnyRequest, name: Named, data: JSONBody[RollbackWish], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:
        """Have a detached dlv hold what a snapshot of it does, by a job. What was written since is lost."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name, data)))
        return await desk.write(request, key, data, lambda work: start(work, name, data))

    return [rolled_back]
