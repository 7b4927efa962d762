"""Snapshots of a dlv: they are in its pool, and made and deleted while it is attached."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import BusyError, ExistsError
from drystone.base.names import check_name, new_uuid
from drystone.cluster.api.clones import check_unused, find_snapshot
from drystone.cluster.api.desk import GONE, Desk, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import NewSnapshot, Snapshots
from drystone.cluster.model.dlv import Snapshot, free_thin_id
from drystone.cluster.model.restoring import check_filled
from drystone.cluster.state import rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest


def make(work: Work, dlv_name: str, wanted: NewSnapshot) -> Answer:
    """Plan one: the pool is told of it when the dlv is attached.

    :raises NotFoundError: there is no such dlv. :raises ExistsError: it has one of that name.
    :raises BusyError: it is being deleted, or restored. :raises ExhaustedError: thin ids ran out.
    """
    dlv = rows.load_dlv(work.connection, known(dlv_name, "dlv"))
    check_name(wanted.name, "snapshot")
    if any(each.name == wanted.name for each in dlv.snapshots):
        raise ExistsError(f"dlv {dlv.name} has a snapshot {wanted.name!r}")
    if dlv.status in {"deleting", "failed"}:
        raise BusyError(f"dlv {dlv.name} is {dlv.status}")
    check_filled(dlv)
    thin_id = free_thin_id(dlv)
    reason = "the agent of its ihost was not told yet" if dlv.attachment else "its dlv is attached nowhere"
    if dlv.source is not None:
        reason = "its dlv is a clone: it is made when all of that is copied"
    snapshot = Snapshot(id=new_uuid(), name=wanted.name, thin_id=thin_id, size=dlv.size, reason=reason)
    rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=(*dlv.snapshots, snapshot)))
    work.tell("planned", "snapshot", f"{dlv.name}@{snapshot.name}")
    return told(snapshot, 202)


def remove(work: Work, dlv_name: str, name: str) -> Answer:
    """Delete it: at once when the pool was not told of it.

    :raises NotFoundError: there is none. :raises BusyError: a clone is copied from it.
    """
    dlv = rows.load_dlv(work.connection, known(dlv_name, "dlv"))
    snapshot = find_snapshot(dlv, name)
    check_unused(work.connection, dlv, "deleted", snapshot)
    others = tuple(each for each in dlv.snapshots if each is not snapshot)
    if snapshot.status == "planned":
        rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=others))
        work.tell("deleted", "snapshot", f"{dlv.name}@{name}")
        return GONE
    if dlv.rollback is not None and dlv.rollback.snapshot == snapshot.id:
        raise BusyError(f"dlv {dlv.name} is to be rolled back to {name}", hint="attach it, or cancel that job, first")
    after = replace(snapshot, status="deleting", reason="the pool is to be told when its dlv is attached")
    if after != snapshot:
        kept = tuple(after if each is snapshot else each for each in dlv.snapshots)
        rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=kept))
        work.tell("deleting", "snapshot", f"{dlv.name}@{name}")
    return told(after, 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of snapshots."""

    @post("/dlvs/{name:str}/snapshots", status_code=202, responses=answers({202: Snapshot}, 400, 404, 409),
          operation_id="createSnapshot")  # fmt: skip
    async def made(request: AnyRequest, name: Named, data: JSONBody[NewSnapshot], key: Key = None) -> Response[bytes]:
        """Make a snapshot of a dlv."""
        return await desk.write(request, key, data, lambda work: make(work, name, data))

    @get("/dlvs/{name:str}/snapshots", responses=answers({200: Snapshots}, 400, 404), operation_id="listSnapshots")
    async def listed(name: Named) -> Response[bytes]:
        """All snapshots of a dlv, in the order in which they were asked for."""
        dlv = await desk.read(lambda connection: rows.load_dlv(connection, known(name, "dlv")))
        return give(Snapshots(dlv.snapshots))

    @get("/dlvs/{name:str}/snapshots/{snapshot:str}", responses=answers({200: Snapshot}, 400, 404),
         operation_id="getSnapshot")  # fmt: skip
    async def one(name: Named, snapshot: Named) -> Response[bytes]:
        """One snapshot of a dlv."""

        def look(connection: Connection) -> Snapshot:
            return find_snapshot(rows.load_dlv(connection, known(name, "dlv")), snapshot)

        return give(await desk.read(look))

    @delete("/dlvs/{name:str}/snapshots/{snapshot:str}", status_code=202,
            responses=answers({202: Snapshot, 204: None}, 400, 404, 409), operation_id="deleteSnapshot")  # fmt: skip
    async def gone(request: AnyRequest, name: Named, snapshot: Named, key: Key = None) -> Response[bytes]:
        """Delete a snapshot. 204: the pool knew nothing of it, and it is gone."""
        return await desk.write(request, key, None, lambda work: remove(work, name, snapshot))

    return [made, listed, one, gone]
