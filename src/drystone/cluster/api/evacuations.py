"""Evacuations: all legs of a dpv go to other dpvs, by copies, and it is given no new ones.

The wish is recorded at once; moves are begun by the monitor, a few at a time.
"""

from __future__ import annotations

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.cluster.api.desk import Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import Evacuation, EvacuationStatus, Moves
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.moving import find_obstacle, find_staying
from drystone.cluster.state import moves, rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

_MOST_WAITING = 100


def find_waiting(connection: Connection, dpv: str) -> tuple[str, ...]:
    """Why legs on a dpv do not move yet, each reason once."""
    dlvs = moves.dlvs_on(connection, dpv)
    reasons = (find_obstacle(dlv, leg) for dlv in dlvs for leg in find_staying(dlv, dpv))
    return tuple(dict.fromkeys(filter(None, reasons)))[:_MOST_WAITING]


def state_of(connection: Connection, dpv: Dpv) -> Evacuation:
    """How far it has come."""
    dlvs = moves.dlvs_on(connection, dpv.name)
    legs = [leg for dlv in dlvs for leg in dlv.legs if leg.dpv == dpv.name]
    moving = len(legs) - sum(len(find_staying(dlv, dpv.name)) for dlv in dlvs)
    waiting = find_waiting(connection, dpv.name) if dpv.evacuating else ()
    status: EvacuationStatus = "none"
    reason = ""
    if dpv.evacuating:
        status = "evacuating" if dpv.used else "evacuated"
    if dpv.evacuating and dpv.used:
        reason = f"{len(legs)} legs are on it, {moving} of them move"
        if not legs:
            reason = "its agent is to confirm that it has given up the last leg"
        elif waiting:
            reason += f"; {waiting[0]}"
    return Evacuation(dpv.name, status, reason, len(legs), dpv.used, moving, waiting)


def preview(connection: Connection, name: str) -> Moves:
    """What an evacuation would move where. Raises as `begin`."""
    dpv = rows.load_dpv(connection, known(name, "dpv"))
    return Moves(tuple(moves.evacuation_of(connection, dpv)), find_waiting(connection, name))


def begin(work: Work, name: str) -> Answer:
    """Have its legs go elsewhere. :raises NotFoundError: there is no such dpv.

    :raises ExhaustedError: there is no room for them: nothing is changed.
    """
    before = rows.load_dpv(work.connection, known(name, "dpv"))
    if before.dvg:
        rows.lock_dvg(work.connection, before.dvg)
    dpv = rows.load_dpv(work.connection, name)
    if not dpv.evacuating:
        planned = moves.evacuation_of(work.connection, dpv)
        if dpv.dvg:  # whoever gives space out at the same time is to see it
            rows.touch_dvg(work.connection, rows.load_dvg(work.connection, dpv.dvg))
        rows.save_dpv(work.connection, dpv, replace(dpv, evacuating=True))
        work.tell("evacuating", "dpv", name, f"{len(planned)} legs are to move")
    return told(state_of(work.connection, rows.load_dpv(work.connection, name)), 202)


def cancel(work: Work, name: str) -> Answer:
    """Have its other legs stay, and give it new ones again; what moves already is moved.

    :raises NotFoundError: there is no such dpv.
    """
    dpv = rows.load_dpv(work.connection, known(name, "dpv"))
    if dpv.evacuating:
        rows.save_dpv(work.connection, dpv, replace(dpv, evacuating=False))
        work.tell("staying", "dpv", name, "its evacuation was canceled")
    return told(state_of(work.connection, rows.load_dpv(work.connection, name)), 200)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of evacuations."""

    @post("/dpvs/{name:str}/evacuate", status_code=202, responses=answers({200: Moves, 202: Evacuation}, 400, 404, 409),
          operation_id="evacuateDpv")  # fmt: skip
    async def begun(request: AnyRequest, name: Named, dry_run: DryRun = False, key: Key = None) -> Response[bytes]:
        """Have all legs of a dpv replaced by others elsewhere, without detaching anything."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name)))
        return await desk.write(request, key, None, lambda work: begin(work, name))

    @get("/dpvs/{name:str}/evacuation", responses=answers({200: Evacuation}, 400, 404), operation_id="getEvacuation")
    async def one(name: Named) -> Response[bytes]:
        """How far the evacuation of a dpv has come."""

        def look(connection: Connection) -> Evacuation:
            return state_of(connection, rows.load_dpv(connection, known(name, "dpv")))

        return give(await desk.read(look))

    @post("/dpvs/{name:str}/evacuation/cancel", status_code=200, responses=answers({200: Evacuation}, 400, 404, 409),
          operation_id="cancelEvacuation")  # fmt: skip
    async def canceled(request: AnyRequest, name: Named, key: Key = None) -> Response[bytes]:
        """End the evacuation of a dpv. Legs that move already are moved."""
        return await desk.write(request, key, None, lambda work: cancel(work, name))

    return [begun, one, canceled]
