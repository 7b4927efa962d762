"""What the agent of an ihost commits before it swaps tables: legs that were lost, and legs that have been copied.

The answer is what the ihost is to have now, with the secrets of the legs; a commit from a past epoch changes nothing,
and is decided about anew from what `wish` tells. No idempotency key is needed: the epoch is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from sqlalchemy import Connection

from drystone.base.errors import MismatchError, RefusedError
from drystone.cluster.api.application import AGENTS, caller_of
from drystone.cluster.api.desk import Desk, answers, give, told
from drystone.cluster.api.documents import LegsCommit
from drystone.cluster.model.calls import VolumeWish, volume_wish
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.in_sync import Change, grow, shrink, standing
from drystone.cluster.state import ahead, rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

AtIhost = Annotated[str, QueryParameter(name="ihost", max_length=100, description="The ihost that asks.")]


def wish_of(connection: Connection, dlv: Dlv) -> VolumeWish:
    """An attached dlv as its ihost is to have it, with all logs as they are."""
    return volume_wish(dlv, standing(dlv), rows.dpvs_of(connection, dlv), rows.find_secrets(connection, dlv.id))


def check_attachment(dlv: Dlv, ihost: str, attachment: int | None = None) -> None:
    """:raises MismatchError: the dlv is not `ihost`'s, or was given to it anew since."""
    here = dlv.attachment
    if here is None or here.ihost != ihost or attachment not in {None, here.epoch}:
        holder = "" if here is None else here.ihost
        raise MismatchError(f"dlv {dlv.name} is not attached to {ihost} any more", ihost=holder)


def check_newest(connection: Connection, dlv: Dlv) -> None:
    """:raises RefusedError: an ihost knows an epoch of the dlv that was never recorded here. By requests the record may
    have come to the very epoch that the ihost is in, or past it, and what it says of legs is old all the same.
    """
    if known := ahead.find_ihosts(connection, dlv.id):
        name, epoch = next(iter(known.items()))
        raise RefusedError(
            f"dlv {dlv.name} is in epoch {epoch} at ihost {name}, which is not in this database: it is an old copy",
            hint="bring the newest database back",
        )


def _check_sets(dlv: Dlv, told_of: LegsCommit) -> None:
    """:raises RefusedError: the ihost has other sets than the record, and no change leads from those to these. So
    it is told of before a monitor has looked. What is older by its epoch alone is left to `check_holder`.
    """
    is_same = told_of.epoch == dlv.epoch
    if told_of.set_epoch > dlv.set_epoch or (is_same and told_of.set_epoch != dlv.set_epoch):
        raise RefusedError(
            f"dlv {dlv.name} has sets of epoch {told_of.set_epoch} at ihost {told_of.ihost}, and of epoch "
            f"{dlv.set_epoch} in this database: it is an old copy",
            hint="bring the newest database back",
        )


def find_wish(connection: Connection, dlv_id: str, ihost: str) -> VolumeWish:
    """Raises as `check_attachment`, and as `check_newest`. :raises NotFoundError: there is no such dlv."""
    dlv = rows.find_by_id(connection, dlv_id)
    check_attachment(dlv, ihost)
    check_newest(connection, dlv)
    return wish_of(connection, dlv)


def _commit(work: Work, dlv_id: str, told_of: LegsCommit, change: Callable[[Dlv], Change], what: str) -> Answer:
    dlv = rows.find_by_id(work.connection, dlv_id)
    check_attachment(dlv, told_of.ihost, told_of.attachment)
    check_newest(work.connection, dlv)
    _check_sets(dlv, told_of)
    if dlv.status == "fencing":  # each dpv that shuts the ihost out looks to that like a leg that is lost
        raise RefusedError(
            f"dlv {dlv.name} is being taken from {told_of.ihost}", hint="what it has not written by now fails"
        )
    after = change(dlv).dlv
    if after is not dlv:
        after = rows.save_dlv(work.connection, dlv, after)
        for leg in after.legs:
            if leg.id in told_of.legs and leg not in dlv.legs:  # others were so before
                work.tell(what, "dlv", dlv.name, f"leg {leg.id} on dpv {leg.dpv}, in epoch {after.epoch}")
    return told(wish_of(work.connection, after), 200)


def lose(work: Work, dlv_id: str, lost: LegsCommit) -> Answer:
    """Commit smaller sets. Raises as `in_sync.shrink`, and as `check_attachment`.

    :raises RefusedError: also when the dpvs are shutting the ihost out.
    """
    return _commit(work, dlv_id, lost, lambda dlv: shrink(dlv, lost.ihost, lost.epoch, lost.legs), "lost")


def join(work: Work, dlv_id: str, copied: LegsCommit) -> Answer:
    """Commit larger sets. Raises as `in_sync.grow`, and as `check_attachment`.

    :raises RefusedError: when the dpvs are shutting the ihost out.
    """
    return _commit(work, dlv_id, copied, lambda dlv: grow(dlv, copied.ihost, copied.epoch, copied.legs), "joined")


def check_self(request: AnyRequest, ihost: str) -> None:
    """:raises RefusedError: an agent speaks for another ihost."""
    if caller_of(request) != ihost:
        raise RefusedError(f"{caller_of(request)} is not ihost {ihost[:100]}")


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of agents."""

    @get("/agents/dlvs/{dlv:str}/wish", opt={AGENTS: True}, responses=answers({200: VolumeWish}, 400, 403, 404, 409),
         operation_id="getWish")  # fmt: skip
    async def wish(request: AnyRequest, dlv: FromPath[str], ihost: AtIhost) -> Response[bytes]:
        """What an ihost is to have of a dlv that is attached to it."""
        check_self(request, ihost)
        return give(await desk.read(lambda connection: find_wish(connection, dlv, ihost)))

    @post("/agents/dlvs/{dlv:str}/lost", status_code=200, opt={AGENTS: True},
          responses=answers({200: VolumeWish}, 400, 403, 404, 409), operation_id="loseLegs")  # fmt: skip
    async def lost(request: AnyRequest, dlv: FromPath[str], data: JSONBody[LegsCommit]) -> Response[bytes]:
        """Commit that legs are lost, before a write completes without them."""
        check_self(request, data.ihost)
        return await desk.write(request, None, data, lambda work: lose(work, dlv, data))

    @post("/agents/dlvs/{dlv:str}/copied", status_code=200, opt={AGENTS: True},
          responses=answers({200: VolumeWish}, 400, 403, 404, 409), operation_id="joinLegs")  # fmt: skip
    async def copied(request: AnyRequest, dlv: FromPath[str], data: JSONBody[LegsCommit]) -> Response[bytes]:
        """Commit that all regions of legs are copied."""
        check_self(request, data.ihost)
        return await desk.write(request, None, data, lambda work: join(work, dlv, data))

    return [wish, lost, copied]
