"""Which legs go from which dpvs to which, when a dpv is evacuated or a dvg is balanced: as functions of values.

A leg can move while its dlv is attached, by a copy, or while nothing was ever written to its group. Moves are planned
as if those before were done: nothing is given out here.

Balancing takes a leg from the fullest dpv to the emptiest that may have it, again and again, while that makes the
fuller of the two less full than it was; so it ends. A spread of a tenth is left as it is: each move is a copy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import ExhaustedError
from drystone.cluster.model.allocation import replacement
from drystone.cluster.model.dlv import Dlv, Leg, MirrorKey
from drystone.cluster.model.dpv import Dpv

SPREAD = 0.1
"""Between the shares that are used of two dpvs: less than that is balanced."""


class Move(Struct, frozen=True, kw_only=True):
    """A leg that goes to another dpv. :ivar dlv: its name. :ivar extents: that are copied."""

    dlv: str
    leg: str
    extents: int
    source: str
    target: str


def find_obstacle(dlv: Dlv, leg: Leg) -> str:
    """Why a leg cannot be moved now, in words; "" when it can."""
    if dlv.status in {"deleting", "failed"}:
        return f"dlv {dlv.name} is {dlv.status}"
    if dlv.groups[leg.group].blank:
        return ""
    if dlv.status != "attached":
        return f"dlv {dlv.name} is {dlv.status}: legs are copied while it is attached"
    if not all(each.in_sync for each in dlv.legs_of(leg.mirror)):
        return f"mirror {leg.mirror} of dlv {dlv.name} is being copied, or lacks a leg"
    return ""


def find_staying(dlv: Dlv, dpv: str) -> list[Leg]:
    """The legs on a dpv that none is on its way for; the largest first."""
    succeeded = {leg.instead_of for leg in dlv.legs}
    legs = [leg for leg in dlv.legs if leg.dpv == dpv and leg.id not in succeeded]
    return sorted(legs, key=lambda leg: (-leg.extents, leg.id))


def find_movable(dlv: Dlv, dpv: str, dpvs: Sequence[Dpv]) -> list[Move]:
    """The legs on a dpv that can be moved now, each as if it were the only one: the largest of each mirror first."""
    found: dict[MirrorKey, Move] = {}
    for leg in find_staying(dlv, dpv):
        if leg.mirror in found or find_obstacle(dlv, leg):
            continue
        try:
            new = replacement(dlv, leg, dpvs, lambda: "")
        except ExhaustedError:
            continue
        found[leg.mirror] = Move(dlv=dlv.name, leg=leg.id, extents=leg.extents, source=dpv, target=new.dpv)
    return [*found.values()]


def plan_evacuation(dpv: str, dlvs: Collection[Dlv], dpvs: Sequence[Dpv]) -> list[Move]:
    """Where all legs on a dpv may go that none is on its way for, also those that cannot move yet.

    :param dlvs: with legs on it. :param dpvs: of its dvg, all of them.
    :raises ExhaustedError: there is no room for some; it says for how many, and for how much.
    """
    room = {each.name: replace(each, evacuating=each.evacuating or each.name == dpv) for each in dpvs}
    moves, homeless = list[Move](), list[Leg]()
    for leg, dlv in _largest_first(dpv, dlvs):
        try:
            new = replacement(dlv, leg, [*room.values()], lambda: "")
        except ExhaustedError:
            homeless.append(leg)
            continue
        room[new.dpv] = replace(room[new.dpv], used=room[new.dpv].used + leg.extents)
        moves.append(Move(dlv=dlv.name, leg=leg.id, extents=leg.extents, source=dpv, target=new.dpv))
    if homeless:
        extents = sum(leg.extents for leg in homeless)
        free = sum(each.free for each in room.values() if each.takes_legs)
        raise ExhaustedError(
            f"there is no room for {len(homeless)} of the {len(homeless) + len(moves)} legs on dpv {dpv}: {extents} "
            f"extents, each in a location without another leg of its mirror; the other dpvs have {free} free",
            hint="add a dpv to the dvg",
            legs=len(homeless),
            extents=extents,
            free=free,
        )
    return moves


def _largest_first(dpv: str, dlvs: Collection[Dlv]) -> list[tuple[Leg, Dlv]]:
    found = [(leg, dlv) for dlv in dlvs for leg in find_staying(dlv, dpv)]
    return sorted(found, key=lambda each: (-each[0].extents, each[1].name, each[0].id))


def plan_balance(dlvs: Collection[Dlv], dpvs: Sequence[Dpv], most: int) -> list[Move]:
    """The next moves, at most so many, by which dpvs become about equally full; none: they are, as far as can be.

    :param dlvs: of the dvg, :param dpvs: of it. Legs on their way count where they are, and where they go.
    """
    room = {dpv.name: dpv for dpv in dpvs if dpv.takes_legs}
    moved: set[str] = set()
    moves: list[Move] = []
    while len(moves) < most and (move := _best(dlvs, room, moved)) is not None:
        moved.add(move.leg)
        for name, change in ((move.source, -move.extents), (move.target, move.extents)):
            room[name] = replace(room[name], used=room[name].used + change)
        moves.append(move)
    return moves


def _best(dlvs: Collection[Dlv], room: dict[str, Dpv], moved: Collection[str]) -> Move | None:
    """From the fullest dpv that anything can go from."""
    by_share = sorted(room.values(), key=lambda dpv: (-_share(dpv), dpv.name))
    for source in by_share:
        if _share(source) - _share(by_share[-1]) <= SPREAD:
            return None
        for move in _moves_from(source, dlvs, by_share, moved):
            return move
    return None


def _moves_from(source: Dpv, dlvs: Collection[Dlv], by_share: Sequence[Dpv], moved: Collection[str]) -> Iterator[Move]:
    """Moves that help, the largest legs first, to the emptiest dpv that may have each."""
    for leg, dlv in _largest_first(source.name, dlvs):
        # One copy at a time in a mirror; of a mirror that moves already the dpvs of all its legs are not known yet.
        busy = any(each.instead_of or each.id in moved for each in dlv.legs_of(leg.mirror))
        if busy or find_obstacle(dlv, leg):
            continue
        for target in reversed(by_share):
            if _share(target, leg.extents) >= _share(source):
                break
            try:
                replacement(dlv, leg, only_to(target.name, by_share), lambda: "")
            except ExhaustedError:
                continue
            yield Move(dlv=dlv.name, leg=leg.id, extents=leg.extents, source=source.name, target=target.name)


def only_to(target: str, dpvs: Sequence[Dpv]) -> list[Dpv]:
    """The dpvs, of which one alone takes legs."""
    return [dpv if dpv.name == target else replace(dpv, status="unavailable") for dpv in dpvs]


def _share(dpv: Dpv, more: int = 0) -> float:
    return (dpv.used + more) / dpv.extents
