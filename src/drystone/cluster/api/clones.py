"""Clones of dlvs: a new dlv that is usable at once, and copied behind its user from a snapshot of another one.

It is copied on the ihost where its source is attached. So the source is attached when a clone is asked for, stays there
while it is copied, and a clone goes nowhere else before it has all.
"""

from __future__ import annotations

from typing import NamedTuple

from litestar import Response, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import BusyError, ExistsError, NotFoundError, RefusedError
from drystone.base.names import check_name, new_uuid
from drystone.cluster.api.desk import Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import NewClone, Preview
from drystone.cluster.model.allocation import allocate
from drystone.cluster.model.calls import export_calls
from drystone.cluster.model.cloning import MESSAGES, groups_of, is_copying
from drystone.cluster.model.dlv import Dlv, Snapshot, Source, free_thin_id
from drystone.cluster.model.dpv import Dvg
from drystone.cluster.model.job import Job, check_step
from drystone.cluster.model.layout import check_shape
from drystone.cluster.model.resizing import name_of
from drystone.cluster.state import clones, rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.cluster.state.space import UNTOLD
from drystone.wire.application import AnyRequest


class Plan(NamedTuple):
    """What a clone is made from, and what is to be recorded.

    :ivar dvg: as it was when its space was looked at. :ivar before: and :ivar after: the source.
    """

    dvg: Dvg
    before: Dlv
    after: Dlv
    clone: Dlv
    job: Job


def find_snapshot(dlv: Dlv, name: str) -> Snapshot:
    """:raises NotFoundError: the dlv has no such snapshot."""
    found = next((each for each in dlv.snapshots if each.name == name), None)
    if found is None:
        raise NotFoundError(f"dlv {dlv.name} has no snapshot {name[:100]!r}")
    return found


def plan(connection: Connection, source: str, wanted: NewClone) -> Plan:
    """What would be recorded.

    :raises NotFoundError: there is no such dlv, snapshot or dvg. :raises ExistsError: there is a dlv of the new name.
    :raises RefusedError: the source is not attached, or its snapshot not there. :raises UsageError: a volume cannot be
        like that. :raises BusyError: the source is a clone itself, and not copied; or it is to be rolled back.
    :raises ExhaustedError: there is no room, or no thin id.
    """
    before = rows.load_dlv(connection, known(source, "dlv"))
    if before.source is not None:
        why = f"dlv {before.name} is a clone that is being copied itself, {_by_job(connection, before.name)}"
        raise BusyError(why, hint="wait for that job")
    if before.status != "attached" or not before.wanted:
        raise RefusedError(
            f"dlv {before.name} is {before.status}: a clone is copied where its source is attached",
            hint=f"attach dlv {before.name} first",
        )
    if before.rollback is not None:
        why = f"dlv {before.name} is to be rolled back to {name_of(before, before.rollback)}"
        raise BusyError(why, hint="wait until the job of that is finished")
    job_id = new_uuid()
    snapshot, after = _snapshot_for(before, wanted.snapshot, job_id)
    # Before the space is looked at: its version stands for that.
    dvg = rows.load_dvg(connection, wanted.dvg or before.dvg)
    if rows.find_dlvs(connection, [check_name(wanted.name, "dlv")]):
        raise ExistsError(f"there is a dlv {wanted.name!r}")
    size, stripes, mirrors = snapshot.size, wanted.stripes or before.stripes, wanted.mirrors or before.mirrors
    initial_size = min(size, wanted.initial_size or size)
    check_shape(size, initial_size, mirrors, stripes)
    groups = groups_of(size, initial_size, stripes, before.block)
    clone = Dlv(
        id=new_uuid(),
        name=wanted.name,
        dvg=dvg.name,
        size=size,
        initial_size=initial_size,
        mirrors=mirrors,
        stripes=stripes,
        chunk=before.chunk,
        block=before.block,
        reason=UNTOLD,
        messages=MESSAGES,
        groups=groups,
        legs=allocate(groups, mirrors, rows.find_dpvs(connection, dvg=dvg.name), (), new_uuid),
        source=Source(dlv=before.id, name=before.name, snapshot=snapshot.id, thin_id=snapshot.thin_id),
    )
    job = Job(id=job_id, kind="clone", dlv=clone.name, reason=UNTOLD, total=size)
    return Plan(dvg, before, after, clone, job)


def _snapshot_for(dlv: Dlv, name: str | None, job: str) -> tuple[Snapshot, Dlv]:
    """The snapshot that is copied, opened, and the dlv with it. What is not made yet has its device when it is."""
    if name is None:
        made = Snapshot(
            id=new_uuid(), name=f"clone-{job}", thin_id=free_thin_id(dlv), size=dlv.size, opened=True, temporary=True,
            reason="the agent of its ihost was not told yet",
        )  # fmt: skip
        return made, replace(dlv, snapshots=(*dlv.snapshots, made))
    found = find_snapshot(dlv, name)
    if found.status != "available" or found.temporary:
        raise RefusedError(
            f"snapshot {dlv.name}@{found.name} is {found.status}" + (", and not to stay" if found.temporary else ""),
            hint="clone a snapshot that is available, or none: one is made then",
        )
    if found.opened:
        return found, dlv
    opened = replace(found, opened=True)
    kept = tuple(opened if each is found else each for each in dlv.snapshots)
    return opened, replace(dlv, snapshots=kept, epoch=dlv.epoch + 1)


def preview(connection: Connection, source: str, wanted: NewClone) -> Preview:
    """The calls by which dpvs make the clone's legs. Raises as `plan`."""
    clone = plan(connection, source, wanted).clone
    return Preview(clone, export_calls(clone, rows.dpvs_of(connection, clone)))


def start(work: Work, source: str, wanted: NewClone) -> Answer:
    """Give its space out, and record the job. Raises as `plan`."""
    rows.lock_dvg(work.connection, wanted.dvg or rows.load_dlv(work.connection, known(source, "dlv")).dvg)
    found = plan(work.connection, source, wanted)
    rows.touch_dvg(work.connection, found.dvg)
    # Saved also where nothing of it changes: whoever detaches it now looks again, and finds the clone.
    rows.save_dlv(work.connection, found.before, found.after)
    rows.add_dlv(work.connection, found.clone)
    rows.add_job(work.connection, found.job)
    work.tell("creating", "dlv", found.clone.name, f"{len(found.clone.legs)} legs in dvg {found.dvg.name}")
    work.tell("creating", "job", found.job.id, f"clone dlv {found.before.name} as {found.clone.name}")
    return told(found.job, 202)


def cancel(work: Work, job: Job) -> Answer:
    """Have the clone, or what is being restored, be detached and deleted.

    :raises RefusedError: it has all, and is a dlv like any other.
    """
    check_step(job, "canceling")
    after = replace(job, status="canceling", reason=f"dlv {job.dlv} is to be detached and deleted")
    rows.save_job(work.connection, job, after)
    work.tell("canceling", "job", job.id, after.reason)
    return told(after, 202)


def hold_source(work: Work, clone: Dlv, ihost: str) -> None:
    """Have its source stay where it is while a clone is attached to `ihost`.

    :raises RefusedError: that is where it cannot be copied.
    """
    if clone.source is None or not is_copying(clone):
        return
    source = check_place(work.connection, clone, ihost)
    if source is not None:
        rows.save_dlv(work.connection, source, source)  # whoever detaches it now looks again


def check_place(connection: Connection, clone: Dlv, ihost: str) -> Dlv | None:
    """The source of a clone that is not copied yet. :raises RefusedError: that is not attached to `ihost`."""
    if clone.source is None or not is_copying(clone):
        return None
    source = rows.load_dlv(connection, clone.source.name)
    here = "" if source.attachment is None else source.attachment.ihost
    if here != ihost or source.wanted != ihost:
        raise RefusedError(
            f"dlv {clone.name} is being copied from dlv {source.name}, which is "
            + (f"at ihost {here}" if here else "attached nowhere"),
            hint=f"attach it where dlv {source.name} is; elsewhere when its job is finished",
        )
    return source


def check_unused(connection: Connection, dlv: Dlv, what: str, snapshot: Snapshot | None = None) -> None:
    """:raises BusyError: clones are copied from it, or from that snapshot of it. :param what: is asked for."""
    for clone in rows.find_dlvs(connection, clones.names_of(connection, dlv.id)):
        if clone.source is not None and snapshot in {None, _snapshot_of(dlv, clone.source)}:
            raise _busy(connection, dlv, clone, what)


def check_leaving(connection: Connection, dlv: Dlv) -> None:
    """:raises BusyError: a clone is copied from it where it is attached, or is about to be."""
    for clone in rows.find_dlvs(connection, clones.names_of(connection, dlv.id)):
        if is_copying(clone) and (clone.wanted or clone.attachment is not None or clone.status == "creating"):
            raise _busy(connection, dlv, clone, "detached")


def _busy(connection: Connection, dlv: Dlv, clone: Dlv, what: str) -> BusyError:
    return BusyError(
        f"dlv {clone.name} is being copied from dlv {dlv.name}, {_by_job(connection, clone.name)}: it is not {what}",
        hint=f"wait for that job, or cancel it, or detach dlv {clone.name} first",
    )


def _snapshot_of(dlv: Dlv, source: Source) -> Snapshot | None:
    return next((each for each in dlv.snapshots if each.id == source.snapshot), None)


def _by_job(connection: Connection, clone: str) -> str:
    jobs = [job.id for job in rows.jobs_of(connection, clone) if job.kind == "clone"]
    return f"by job {jobs[0]}" if jobs else "by no job"


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of clones."""

    @post("/dlvs/{name:str}/clones", status_code=202, responses=answers({200: Preview, 202: Job}, 400, 404, 409),
          operation_id="cloneDlv")  # fmt: skip
    async def cloned(
        request: AnyRequest, name: Named, data: JSONBody[NewClone], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:
        """Make a clone of a dlv that is attached, by a job: it is usable at once, and copied behind its user."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name, data)))
        return await desk.write(request, key, data, lambda work: start(work, name, data))

    return [cloned]
