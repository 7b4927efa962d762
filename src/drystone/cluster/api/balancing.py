"""Balancing of dvgs: legs go from the fullest dpvs to others until they are about equally full. The wish is recorded at
once; moves are begun by the monitor, a few at a time.
"""

from __future__ import annotations

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler
from sqlalchemy import Connection

from drystone.cluster.api.desk import Desk, DryRun, Key, Named, answers, give, known, told
from drystone.cluster.api.documents import Balance, BalanceStatus, Moves
from drystone.cluster.state import moves, rows
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

_MOST_PREVIEWED = 1000


def state_of(connection: Connection, name: str) -> Balance:
    """How even it is. :raises NotFoundError: there is no such dvg."""
    dvg = rows.load_dvg(connection, known(name, "dvg"))
    shares = {
        dpv.name: round(dpv.used / dpv.extents, 4) for dpv in rows.find_dpvs(connection, dvg=name) if dpv.takes_legs
    }
    moving = moves.count_moving(connection, name)
    status: BalanceStatus = "rebalancing" if dvg.rebalancing else "balanced"
    reason = f"{moving} legs move" if moving else ""
    if not dvg.rebalancing and moves.balance_of(connection, name, 1):
        status, reason = "uneven", "legs could be moved"
    return Balance(name, status, reason, shares, moving)


def preview(connection: Connection, name: str) -> Moves:
    """What would be moved where, if nothing else changed. :raises NotFoundError: there is no such dvg."""
    dvg = rows.load_dvg(connection, known(name, "dvg"))
    return Moves(tuple(moves.balance_of(connection, dvg.name, _MOST_PREVIEWED)))


def begin(work: Work, name: str) -> Answer:
    """Have its legs moved until it is balanced. :raises NotFoundError: there is no such dvg."""
    return _mark(work, name, 202, rebalancing=True)


def cancel(work: Work, name: str) -> Answer:
    """Begin no more moves. :raises NotFoundError: there is no such dvg."""
    return _mark(work, name, 200, rebalancing=False)


def _mark(work: Work, name: str, status: int, *, rebalancing: bool) -> Answer:
    dvg = rows.load_dvg(work.connection, known(name, "dvg"))
    if dvg.rebalancing != rebalancing:
        rows.mark_rebalancing(work.connection, dvg, rebalancing=rebalancing)
        work.tell("rebalancing" if rebalancing else "staying", "dvg", name)
    return told(state_of(work.connection, name), status)


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of balancing."""

    @post("/dvgs/{name:str}/rebalance", status_code=202, responses=answers({200: Moves, 202: Balance}, 400, 404, 409),
          operation_id="rebalanceDvg")  # fmt: skip
    async def begun(request: AnyRequest, name: Named, dry_run: DryRun = False, key: Key = None) -> Response[bytes]:
        """Have legs moved until the dpvs of a dvg are about equally full, without detaching anything."""
        if dry_run:
            return give(await desk.read(lambda connection: preview(connection, name)))
        return await desk.write(request, key, None, lambda work: begin(work, name))

    @get("/dvgs/{name:str}/balance", responses=answers({200: Balance}, 400, 404), operation_id="getBalance")
    async def one(name: Named) -> Response[bytes]:
        """How even the dpvs of a dvg are used."""
        return give(await desk.read(lambda connection: state_of(connection, name)))

    @post("/dvgs/{name:str}/balance/cancel", status_code=200, responses=answers({200: Balance}, 400, 404, 409),
          operation_id="cancelBalance")  # fmt: skip
    async def canceled(request: AnyRequest, name: Named, key: Key = None) -> Response[bytes]:
        """Begin no more moves in a dvg. Legs that move already are moved."""
        return await desk.write(request, key, None, lambda work: cancel(work, name))

    return [begun, one, canceled]
