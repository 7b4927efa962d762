"""Attachments: where a dlv is to be. The wish is recorded at once; agents fulfil it."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, get, put
from litestar.params import JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import BusyError, RefusedError
from drystone.cluster.api.clones import check_leaving, check_place, hold_source
from drystone.cluster.api.desk import GONE, Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import AttachmentState, AttachmentWish, Preview
from drystone.cluster.model.calls import export_calls, volume_call, volume_wish
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.dpv import Ihost
from drystone.cluster.model.in_sync import attach
from drystone.cluster.model.resizing import rollback_messages
from drystone.cluster.model.restoring import check_filled
from drystone.cluster.state import rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

Force = Annotated[
    bool,
    QueryParameter(name="force", description="Its ihost does not answer: have the dpvs shut it out, then detach."),
]


def state_of(dlv: Dlv) -> AttachmentState:
    """Where a dlv is and is to be."""
    here = dlv.attachment
    return AttachmentState(
        dlv.name, dlv.wanted, "" if here is None else here.ihost, dlv.epoch, dlv.status, dlv.reason
    )  # fmt: skip


def plan(connection: Connection, name: str, wanted: AttachmentWish) -> tuple[Dlv, Dlv, Ihost]:
    """The dlv, what it becomes when it is to be attached, and the ihost.

    :raises NotFoundError: there is no such dlv, or no such ihost.
    :raises BusyError: it is elsewhere, or being restored. :raises RefusedError: the ihost is not available; or it is a
        clone, and its source is not there.
    """
    dlv = rows.load_dlv(connection, known(name, "dlv"))
    ihost = rows.load_ihost(connection, wanted.ihost)
    check_filled(dlv)
    holder = dlv.wanted if dlv.attachment is None else dlv.attachment.ihost
    if holder not in {"", ihost.name} or dlv.status in {"detaching", "fencing", "deleting", "failed"}:
        raise BusyError(f"dlv {name} is {dlv.status}" + (f", {holder} has it" if holder else ""))
    if dlv.wanted == ihost.name:
        return dlv, dlv, ihost
    if ihost.status != "available":
        raise RefusedError(f"ihost {ihost.name} is {ihost.status}: {ihost.reason}")
    check_place(connection, dlv, ihost.name)
    reason = f"to be attached to {ihost.name} by the agents of its dpvs, then by that of {ihost.name}"
    after = replace(dlv, wanted=ihost.name, status="attaching", reason=reason, epoch=dlv.epoch + 1)
    return dlv, after, ihost


def preview(connection: Connection, name: str, wanted: AttachmentWish) -> Preview:
    """The calls and tables of an attachment whose legs can all be reached. Raises as `plan`, and as `attach`."""
    dlv, after, ihost = plan(connection, name, wanted)
    if dlv.attachment is not None:
        return Preview(dlv, (), (f"it is attached to {ihost.name}",))
    notes = [] if dlv.status == "detached" else [f"dlv {name} is {dlv.status}: now it would be refused"]
    if dlv.rollback is not None:
        notes.append(f"its device comes once the pool was told: {'; '.join(rollback_messages(dlv, dlv.rollback))}")
    dpvs = rows.dpvs_of(connection, dlv)
    change = attach(after, ihost.name, {leg.id for leg in dlv.legs})
    wish = volume_wish(change.dlv, change.assemblies, dpvs)
    calls = (*export_calls(after, dpvs, [ihost.initiator]), volume_call(change.dlv, wish, ihost))
    return Preview(change.dlv, calls, tuple(notes))


def ask_for(work: Work, name: str, wanted: AttachmentWish) -> Answer:
    """Record the wish; again, it is as it is. Raises as `plan`. :raises BusyError: it is not made yet."""
    dlv, after, ihost = plan(work.connection, name, wanted)
    if after is not dlv:
        if dlv.status != "detached":
            raise BusyError(f"dlv {name} is {dlv.status}: {dlv.reason}", hint="wait until it is detached")
        hold_source(work, dlv, ihost.name)
        after = rows.save_dlv(work.connection, dlv, after)
        work.tell("attaching", "dlv", name, f"to ihost {ihost.name}")
    return told(state_of(after), 202)


def give_up(work: Work, name: str, *, force: bool) -> Answer:
    """Record that it is to be nowhere. 204 when it is.

    :raises NotFoundError: there is no such dlv. :raises RefusedError: by force, from an ihost that is available.
    :raises BusyError: a clone is copied from it there; or it is being restored.
    """
    dlv = rows.load_dlv(work.connection, known(name, "dlv"))
    if dlv.wanted:
        check_filled(dlv)
    if dlv.attachment is None:
        if dlv.wanted:
            after = replace(dlv, wanted="", status="detached", reason="", epoch=dlv.epoch + 1)
            rows.save_dlv(work.connection, dlv, after)
            work.tell("detached", "dlv", name, "before it was attached")
        return GONE
    check_leaving(work.connection, dlv)
    ihost = rows.load_ihost(work.connection, dlv.attachment.ihost)
    if force and ihost.status == "available":
        raise RefusedError(
            f"ihost {ihost.name} is available", hint="detach without force, or say first that it is unavailable"
        )
    status = "fencing" if force else "detaching"
    if dlv.status not in {status, "fencing"} or dlv.wanted:
        status = "fencing" if dlv.status == "fencing" else status  # what is fenced is not detached gently
        reason = f"the dpvs are to shut {ihost.name} out" if force else f"{ihost.name} is to take it down"
        after = replace(dlv, wanted="", status=status, reason=reason, epoch=dlv.epoch + 1)
        dlv = rows.save_dlv(work.connection, dlv, after)
        work.tell(status, "dlv", name, f"from ihost {ihost.name}")
    return told(state_of(dlv), 202)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of attachments."""

    @put(
        "/dlvs/{name:str}/attachment",
        status_code=202,
        responses=answers({200: Preview, 202: AttachmentState}, 400, 404, 409),
        operation_id="attachDlv",
    )
    async def asked(
        request: AnyRequest, name: Named, data: JSONBody[AttachmentWish], dry_run: DryRun = False, key: Key = None
    ) -> Response[bytes]:
        """Attach a dlv to an ihost."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name, data)))
        return await desk.write(request, key, data, lambda work: ask_for(work, name, data))

    @get(
        "/dlvs/{name:str}/attachment", responses=answers({200: AttachmentState}, 400, 404), operation_id="getAttachment"
    )
    async def one(name: Named) -> Response[bytes]:
        """Where a dlv is attached, and is to be."""
        return give(await desk.read(lambda connection: state_of(rows.load_dlv(connection, known(name, "dlv")))))

    @delete(
        "/dlvs/{name:str}/attachment",
        status_code=202,
        responses=answers({202: AttachmentState, 204: None}, 400, 404, 409),
        operation_id="detachDlv",
    )
    async def given_up(request: AnyRequest, name: Named, force: Force = False, key: Key = None) -> Response[bytes]:
        """Detach a dlv. 204: it is attached nowhere."""
        return await desk.write(request, key, [force], lambda work: give_up(work, name, force=force))

    return [asked, one, given_up]
