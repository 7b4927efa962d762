"""Legs that go to other dpvs: what is under way, what is planned, and how a move begins, which gives space out."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from drystone.base.errors import NotFoundError, RefusedError
from drystone.base.names import new_uuid
from drystone.cluster.model import in_sync
from drystone.cluster.model.allocation import replacement
from drystone.cluster.model.dlv import Dlv, Leg
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.job import Job
from drystone.cluster.model.moving import Move, find_movable, find_obstacle, only_to, plan_balance, plan_evacuation
from drystone.cluster.state import dropped, rows, schema
from drystone.cluster.state.database import Work
from drystone.cluster.state.space import UNTOLD, begin_job

AT_A_TIME = 2
"""Copies under way in a dvg by moves: each takes bandwidth of its volume's dpvs and ihost."""


def dlvs_on(connection: Connection, dpv: str) -> list[Dlv]:
    """The dlvs with legs on a dpv, in the order of their names."""
    legs, dlvs = schema.legs, schema.dlvs
    query = select(dlvs.c.name).where(dlvs.c.id.in_(select(legs.c.dlv).where(legs.c.dpv == dpv)))
    return rows.find_dlvs(connection, list(connection.execute(query).scalars()))


def count_moving(connection: Connection, dvg: str) -> int:
    """Legs of dlvs of a dvg that are on their way to take the place of others."""
    legs, dlvs = schema.legs, schema.dlvs
    query = select(func.count()).select_from(legs.join(dlvs, legs.c.dlv == dlvs.c.id))
    return int(connection.execute(query.where(dlvs.c.dvg == dvg, legs.c.instead_of != "")).scalar_one())


def restless_dvgs(connection: Connection) -> list[str]:
    """Dvgs that are being balanced, or of which a dpv is being evacuated."""
    dvgs, dpvs = schema.dvgs, schema.dpvs
    evacuating = select(dpvs.c.dvg).where(dpvs.c.evacuating)
    query = select(dvgs.c.name).where(dvgs.c.rebalancing | dvgs.c.name.in_(evacuating))
    return list(connection.execute(query.order_by(dvgs.c.name)).scalars())


def evacuation_of(connection: Connection, dpv: Dpv) -> list[Move]:
    """Where the legs on a dpv may go. Raises as `moving.plan_evacuation`."""
    members = rows.find_dpvs(connection, dvg=dpv.dvg) if dpv.dvg else [dpv]
    return plan_evacuation(dpv.name, dlvs_on(connection, dpv.name), members)


def balance_of(connection: Connection, dvg: str, most: int) -> list[Move]:
    """The next moves that balance a dvg."""
    dlvs = rows.find_dlvs(connection, rows.names_in(connection, dvg))
    return plan_balance(dlvs, rows.find_dpvs(connection, dvg=dvg), most)


def next_moves(connection: Connection, dvg: str) -> list[Move]:
    """What can be begun now: legs of dpvs that are evacuated before those that balance. Where an evacuation's legs go
    is chosen as each begins.
    """
    most = AT_A_TIME - count_moving(connection, dvg)
    if most <= 0:
        return []
    members = rows.find_dpvs(connection, dvg=dvg)
    moves = [
        move
        for dpv in members
        if dpv.evacuating
        for dlv in dlvs_on(connection, dpv.name)
        for move in find_movable(dlv, dpv.name, members)
    ]
    if not moves and rows.load_dvg(connection, dvg).rebalancing:
        moves = balance_of(connection, dvg, most)
    return moves[:most]


def start_move(work: Work, move: Move) -> Job | None:
    """Record a leg that is to take the place of another, and the job of that; None: enough of them are under way.

    :raises NotFoundError: there is no such dlv, or it has no such leg. :raises RefusedError: it cannot move now.
    :raises ExhaustedError: there is no room.
    """
    connection = work.connection
    rows.lock_dvg(connection, rows.load_dlv(connection, move.dlv).dvg)
    dlv = rows.load_dlv(connection, move.dlv)
    old = next((leg for leg in dlv.legs if leg.id == move.leg), None)
    if old is None:
        raise NotFoundError(f"dlv {dlv.name} has no leg {move.leg}")
    if why := find_obstacle(dlv, old):
        raise RefusedError(why)
    dvg = rows.load_dvg(connection, dlv.dvg)
    if count_moving(connection, dvg.name) >= AT_A_TIME:
        return None
    new = replacement(dlv, old, only_to(move.target, rows.find_dpvs(connection, dvg=dvg.name)), new_uuid)
    after, new = _move(dlv, old, new)
    rows.touch_dvg(connection, dvg)
    rows.save_dlv(connection, dlv, after)
    if dlv.groups[old.group].blank:
        dropped.drop(connection, after, old)
    job = Job(id=new_uuid(), kind="move", dlv=dlv.name, group=old.group, leg=new.id, reason=UNTOLD)
    return begin_job(work, job, f"leg {new.id} on dpv {new.dpv} is to succeed {old.id} on dpv {old.dpv}")


def _move(dlv: Dlv, old: Leg, new: Leg) -> tuple[Dlv, Leg]:
    """The dlv with the new leg, and that."""
    if dlv.groups[old.group].blank:
        return in_sync.exchange(dlv, old.id, new).dlv, new
    places = {leg.place for leg in dlv.legs_of(old.mirror)}
    free = next(place for place in range(len(places) + 1) if place not in places)
    successor = replace(new, place=free, instead_of=old.id)
    return in_sync.add_successor(dlv, successor).dlv, successor
