"""dlvs: created and deleted. Their space is given out at once, and what agents have to do follows."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import BusyError, ExistsError
from drystone.base.names import check_name, new_uuid
from drystone.cluster.api.clones import check_unused
from drystone.cluster.api.desk import (
    GONE,
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
from drystone.cluster.api.documents import NewDlv, Page, Preview
from drystone.cluster.model.allocation import allocate
from drystone.cluster.model.calls import export_calls, removal_calls
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.dpv import Dvg
from drystone.cluster.model.layout import SECTORS_A_CHUNK, check_shape, first_groups
from drystone.cluster.model.restoring import check_filled
from drystone.cluster.state import rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.cluster.state.space import UNTOLD
from drystone.wire.application import AnyRequest


def plan(connection: Connection, wanted: NewDlv) -> tuple[Dvg, Dlv]:
    """What would be recorded, and the dvg as it was when its space was looked at.

    :raises UsageError: a volume cannot be like that. :raises ExistsError: there is one of that name.
    :raises NotFoundError: there is no such dvg. :raises ExhaustedError: it has no room.
    """
    size = wanted.size
    initial_size = min(size, wanted.initial_size or size)
    check_shape(size, initial_size, wanted.mirrors, wanted.stripes)
    dvg = rows.load_dvg(connection, wanted.dvg)  # before the space is looked at: its version stands for that
    if rows.find_dlvs(connection, [check_name(wanted.name, "dlv")]):
        raise ExistsError(f"there is a dlv {wanted.name!r}")
    groups = first_groups(size, initial_size, wanted.stripes, wanted.block)
    legs = allocate(groups, wanted.mirrors, rows.find_dpvs(connection, dvg=dvg.name), (), new_uuid)
    dlv = Dlv(
        id=new_uuid(),
        name=wanted.name,
        dvg=dvg.name,
        size=size,
        initial_size=initial_size,
        mirrors=wanted.mirrors,
        stripes=wanted.stripes,
        chunk=SECTORS_A_CHUNK,
        block=wanted.block,
        reason=UNTOLD,
        groups=groups,
        legs=legs,
    )
    return dvg, dlv


def preview(connection: Connection, wanted: NewDlv) -> Preview:
    """What `create` would do now. Raises as `plan`."""
    _, dlv = plan(connection, wanted)
    return Preview(dlv, export_calls(dlv, rows.dpvs_of(connection, dlv)))


def create(work: Work, wanted: NewDlv) -> Answer:
    """Give its space out. Raises as `plan`."""
    rows.lock_dvg(work.connection, wanted.dvg)
    dvg, dlv = plan(work.connection, wanted)
    rows.touch_dvg(work.connection, dvg)
    rows.add_dlv(work.connection, dlv)
    work.tell("creating", "dlv", dlv.name, f"{len(dlv.legs)} legs in dvg {dvg.name}")
    return told(dlv, 202)


def plan_removal(connection: Connection, name: str) -> tuple[Dlv, Dlv | None]:
    """The dlv, and what it becomes when it is deleted: None when no agent was told of it, so that it is gone at once.

    :raises NotFoundError: there is none. :raises BusyError: it is attached, or to be, or being restored; or a clone is
        copied from it.
    """
    dlv = rows.load_dlv(connection, known(name, "dlv"))
    if dlv.wanted:
        check_filled(dlv)
    if dlv.attachment is not None or dlv.wanted:
        where = dlv.wanted if dlv.attachment is None else dlv.attachment.ihost
        raise BusyError(f"dlv {name} is attached to {where}", hint="detach it first")
    check_unused(connection, dlv, "deleted")
    if all(leg.status == "planned" for leg in dlv.legs):
        return dlv, None
    if dlv.status == "deleting":
        return dlv, dlv
    legs = tuple(replace(leg, status="deleting") for leg in dlv.legs)
    reason = "its legs are to be removed by their dpvs"
    return dlv, replace(dlv, status="deleting", legs=legs, reason=reason, epoch=dlv.epoch + 1)


def preview_removal(connection: Connection, name: str) -> Preview:
    """What `remove` would do now. Raises as `plan_removal`."""
    dlv, after = plan_removal(connection, name)
    if after is None:
        return Preview(dlv, (), ("no agent was told of it: it is gone at once",))
    return Preview(after, removal_calls(after, rows.dpvs_of(connection, after)))


def remove(work: Work, name: str) -> Answer:
    """Delete it: at once when no agent was told of it, else once all agents have removed what they have.

    Raises as `plan_removal`.
    """
    dlv, after = plan_removal(work.connection, name)
    if after is None:
        rows.remove_dlv(work.connection, dlv)
        rows.cancel_jobs(work.connection, name, "its dlv was deleted")
        work.tell("deleted", "dlv", name)
        return GONE
    if after is not dlv:
        after = rows.save_dlv(work.connection, dlv, after)
        work.tell("deleting", "dlv", name)
    return told(after, 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of dlvs."""

    @post(
        "/dlvs", status_code=202, responses=answers({200: Preview, 202: Dlv}, 400, 404, 409), operation_id="createDlv"
    )
    async def created(
        request: AnyRequest, data: JSONBody[NewDlv], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:  # fmt: skip
        """Create a dlv: its legs are allocated at once, and made by the agents of their dpvs."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, data)))
        return await desk.write(request, key, data, lambda work: create(work, data))

    @get("/dlvs", responses=answers({200: Page[Dlv]}, 400), operation_id="listDlvs")
    async def listed(
        limit: Limit = 100, after: After = "", descending: Descending = False, dvg: Filter = None,
        status: Filter = None, ihost: Filter = None,
    ) -> Response[bytes]:  # fmt: skip
        """List dlvs, in the order of their names."""
        filters = {"dvg": dvg, "status": status, "ihost": ihost}
        return await desk.page(
            schema.dlvs, rows.find_dlvs, after=after, limit=limit, descending=descending, filters=filters
        )

    @get("/dlvs/{name:str}", responses=answers({200: Dlv}, 400, 404), operation_id="getDlv")
    async def one(name: Named) -> Response[bytes]:
        """One dlv with its groups, legs and snapshots."""
        return give(await desk.read(lambda connection: rows.load_dlv(connection, known(name, "dlv"))))

    @delete(
        "/dlvs/{name:str}",
        status_code=202,
        responses=answers({200: Preview, 202: Dlv, 204: None}, 400, 404, 409),
        operation_id="deleteDlv",
    )
    async def gone(request: AnyRequest, name: Named, dry_run: DryRun = False, key: Key = None) -> Response[bytes]:
        """Delete a dlv that is attached nowhere. 204: no agent knew of it, and it is gone."""
        if dry_run:
            return give(await desk.read(lambda connection: preview_removal(connection, name)))
        return await desk.write(request, key, None, lambda work: remove(work, name))

    return [created, listed, one, gone]
