"""What a decision about a dlv is made from: all that is recorded of it, of one moment; and the wishes that follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from drystone.base.errors import NotFoundError
from drystone.cluster.model.calls import LegsWish, VolumeWish, export_calls, volume_wish, withdrawal_of_legs
from drystone.cluster.model.dlv import Dlv, Leg, Snapshot
from drystone.cluster.model.dpv import Dpv, Ihost
from drystone.cluster.model.in_sync import Assembly
from drystone.cluster.model.job import Job
from drystone.cluster.state import ahead, clones, dropped, rows


class View(NamedTuple):
    """:ivar dpvs: that its legs are on, or were and have not given up yet. :ivar ihost: that has it, or is to have it.

    :ivar shut: ihosts that were shut out, and may have it still; not the one that it is to be attached to again.
    :ivar jobs: those that have not ended. :ivar leaving: names of the dpvs that are to give up legs. :ivar ahead: those
        that were seen to know an epoch that was never recorded here, and that epoch. :ivar ahead_ihosts: likewise.
    :ivar source: the dlv that it is copied from. :ivar copied: its snapshots that others are copied from, by their ids.
    """

    dlv: Dlv
    dpvs: Mapping[str, Dpv]
    ihost: Ihost | None
    shut: tuple[Ihost, ...]
    secrets: Mapping[str, str]
    jobs: tuple[Job, ...]
    leaving: frozenset[str]
    ahead: Mapping[str, int]
    ahead_ihosts: Mapping[str, int]
    source: Dlv | None
    copied: frozenset[str]

    def legs_on(self, dpvs: Collection[str]) -> set[str]:
        """The ids of the legs on these dpvs."""
        return {leg.id for leg in self.dlv.legs if leg.dpv in dpvs}

    @property
    def source_snapshot(self) -> Snapshot | None:
        """The snapshot that it is copied from."""
        if self.dlv.source is None or self.source is None:
            return None
        return next((each for each in self.source.snapshots if each.id == self.dlv.source.snapshot), None)

    def leg(self, leg: str) -> Leg | None:
        """The leg of that id."""
        return next((each for each in self.dlv.legs if each.id == leg), None)


def load_view(connection: Connection, name: str) -> View | None:
    """None: there is no such dlv any more."""
    try:
        dlv = rows.load_dlv(connection, name)
    except NotFoundError:
        return None
    holder = dlv.wanted if dlv.attachment is None else dlv.attachment.ihost
    leaving = frozenset(each.dpv for each in dropped.find(connection, dlv.id))
    names = leaving | {leg.dpv for leg in dlv.legs}
    shut = {each.ihost for each in dropped.find_volumes(connection, dlv.id)}
    ihosts = {each.name: each for each in rows.find_ihosts(connection, shut | {holder})}
    ihost = ihosts.pop(holder, None)
    return View(
        dlv,
        {dpv.name: dpv for dpv in rows.find_dpvs(connection, names)},
        ihost,
        tuple(ihosts.values()),
        rows.find_secrets(connection, dlv.id),
        tuple(rows.jobs_of(connection, name)),
        leaving,
        ahead.find(connection, dlv.id),
        ahead.find_ihosts(connection, dlv.id),
        None if dlv.source is None else rows.load_dlv(connection, dlv.source.name),
        clones.snapshots_in_use(connection, dlv.id),
    )


def admitted(view: View) -> tuple[str, ...]:
    """Who is to be let in to the legs, as initiators."""
    if view.ihost is None or view.dlv.status in {"fencing", "deleting"}:
        return ()
    return (view.ihost.initiator,)


def legs_wishes(view: View) -> dict[str, LegsWish]:
    """What each dpv is to have of the dlv: nothing when it is being deleted, or where it has no legs any more."""
    nothing = withdrawal_of_legs(view.dlv.id, view.dlv.epoch, view.dlv.set_epoch)
    wishes = dict.fromkeys(sorted(view.dpvs), nothing)
    if view.dlv.status != "deleting":
        for call in export_calls(view.dlv, view.dpvs, admitted(view), view.secrets):
            assert isinstance(call.body, LegsWish), "a call of a dpv"
            wishes[call.host] = call.body
    return wishes


def volume_wish_of(view: View, assemblies: Collection[Assembly]) -> VolumeWish:
    """What the ihost is to have of an attached dlv."""
    return volume_wish(view.dlv, assemblies, view.dpvs, view.secrets)
