"""The work on one dlv: tell agents what is recorded, record what they have confirmed, until nothing is left to do.

What is done next depends on the record alone. A call that was not answered is made again; a decision that somebody else
was faster than is made anew from what is recorded then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from drystone.base.errors import ExhaustedError, NotFoundError, RefusedError
from drystone.cluster.agents.answers import PoolSeen, VolumeSeen
from drystone.cluster.model.calls import withdrawal_of_volume
from drystone.cluster.model.dlv import Dlv, DlvStatus
from drystone.cluster.monitor import cloning, decide, old_record, resizing
from drystone.cluster.monitor.agent import Agent, Confirmed, Told
from drystone.cluster.monitor.decide import CALLER, Decision
from drystone.cluster.monitor.growth import find_need
from drystone.cluster.monitor.memory import Host, Memory, Shortage
from drystone.cluster.monitor.messenger import Messenger
from drystone.cluster.monitor.view import View, load_view
from drystone.cluster.state import ahead as ahead_hosts
from drystone.cluster.state import dropped, rows
from drystone.cluster.state.database import Database, Work
from drystone.cluster.state.space import start_extension, start_failover

log = logging.getLogger(__name__)

_MOST_STEPS = 32
"""Of a dlv in a round; the rest is for the next one."""


class Attendant:
    """Attends to dlvs, several at a time by several threads, each by one. The constructor has no effects.

    :param agent_at: the agent at an address, HOST:PORT. :param patience: rounds.
    """

    def __init__(self, database: Database, agent_at: Callable[[str], Agent], memory: Memory, patience: int) -> None:
        self._database = database
        self._messenger = Messenger(database, agent_at, memory)
        self._memory = memory
        self._patience = patience
        self._steps: dict[DlvStatus, Callable[[View], Decision | None]] = {
            "creating": self._create,
            "restoring": self._attach,
            "detached": self._keep,
            "attaching": self._attach,
            "attached": self._hold,
            "detaching": self._detach,
            "fencing": self._fence,
            "deleting": self._delete,
        }

    def attend(self, name: str, *, is_round: bool = True) -> None:
        """Bring a dlv as far as it goes by now. :raises DrystoneError: the database failed.

        :param is_round: patience is counted in these; not so when a hint has it looked at in between.
        """
        for turn in range(_MOST_STEPS):
            view = self._database.read(lambda connection: load_view(connection, name))
            if view is not None and is_round and not turn:
                self._memory.begin_round(view.dlv.id)
            step = self._steps.get(view.dlv.status) if view else None
            if view is None or step is None:
                return
            decision = self._hold_old_record(view) or cloning.drop(view) or step(view) or decide.advance(view)
            seen = self._messenger.see(view) if decision is None else None
            decision = decision or self._lose_unreachable(view, seen)
            decision = decision or cloning.follow(view, seen) or resizing.settle_filesystem(view, seen)
            if decision is not None:
                if not self._record(view, decision) or decision.waits:
                    return
            elif not self._give_space(view, seen.pool if seen else None):
                self._messenger.clear_shut(view)
                self._count(view, seen)
                return

    # What is recorded

    def _record(self, view: View, decision: Decision) -> bool:
        """Record a decision; whether that was done, or is for another look to decide."""
        if decision == Decision(view.dlv, waits=True):
            return True

        def change(work: Work) -> bool:
            newest = rows.find_dlvs(work.connection, [view.dlv.name])
            if [each.version for each in newest if each.id == view.dlv.id] != [view.dlv.version]:
                return False
            if decision.dlv is None:
                for leg in decision.left:
                    dropped.drop(work.connection, view.dlv, leg)
                dropped.keep_until(work.connection, view.dlv.id, view.dlv.epoch)
                ahead_hosts.forget(work.connection, view.dlv.id)
                rows.remove_dlv(work.connection, view.dlv)
                rows.cancel_jobs(work.connection, view.dlv.name, "its dlv was deleted")
            elif decision.dlv != view.dlv:
                rows.save_dlv(work.connection, view.dlv, decision.dlv)
                _note_holders(work, view.dlv, decision)
                for leg in decision.retired:
                    dropped.drop(work.connection, decision.dlv, leg)
                if decision.overtakes:
                    ahead_hosts.forget(work.connection, view.dlv.id)
            for before, after in decision.jobs:
                rows.save_job(work.connection, before, after)
            for event in decision.events:
                work.tell(*event)
            return True

        is_done = self._database.change(change, caller=CALLER)
        if is_done and decision.assemblies and decision.dlv is not None:
            self._memory.handed[view.dlv.id] = (decision.dlv.epoch, decision.assemblies)
        return is_done

    def _give_space(self, view: View, pool: PoolSeen | None) -> bool:
        """Start a failover of a leg that is away for long, or another group for a pool that is nearly full."""
        if view.dlv.status not in {"creating", "restoring", "attached", "detached"}:
            return False
        name = view.dlv.name
        self._memory.shortages.pop(view.dlv.id, None)
        needs = {leg: partial(start_failover, name=name, lost=leg) for leg in decide.find_unsafe(view)}
        if (need := find_need(view.dlv, pool, view.jobs)) is not None:
            needs[""] = partial(start_extension, name=name, size=need.size, role=need.role)
        text, homeless = "", set[str]()
        for leg, start in needs.items():
            try:
                self._database.change(start, caller=CALLER)
            except (ExhaustedError, NotFoundError, RefusedError) as error:
                text = text or error.message
                homeless |= {leg} if isinstance(error, ExhaustedError) else set()
                self._memory.shortages[view.dlv.id] = Shortage(text, frozenset(homeless))
            else:
                return True
        return False

    def _count(self, view: View, seen: VolumeSeen | None) -> None:
        """Record how far its job is, unless somebody changed the job meanwhile."""
        step = cloning.count(view, seen)
        if step is None:
            return
        before, after = step

        def change(work: Work) -> None:
            if rows.find_jobs(work.connection, [before.id]) == [before]:
                rows.save_job(work.connection, before, after)

        self._database.change(change, caller=CALLER)

    # By status

    def _create(self, view: View) -> Decision | None:
        if (said := decide.announce(view)) is not None:
            return said
        confirmed = self._messenger.tell_dpvs(view)
        if (made := decide.make_anew(view, confirmed.missing) or decide.make_ready(view, confirmed.dpvs)) is not None:
            return made
        if cloning.is_made(view):
            return cloning.place(view)
        return decide.finish_creation(view, confirmed.troubles)

    def _keep(self, view: View) -> Decision | None:
        if (said := decide.announce(view)) is not None:
            return said
        confirmed = self._messenger.tell_dpvs(view)
        if confirmed.ahead:
            return self._block(view, confirmed)
        return (
            decide.make_anew(view, confirmed.missing)
            or decide.make_ready(view, confirmed.dpvs)
            or decide.retire_succeeded(view)
            or resizing.finish_jobs(view)
            or decide.explain(view.dlv, self._shortage(view, confirmed))
        )

    def _attach(self, view: View) -> Decision | None:
        if view.dlv.attachment is not None:
            return self._hold(view)
        if (said := decide.announce(view)) is not None:
            return said
        # Whatever the ihost has of an attachment before is void, before a dpv lets it in: it could be written through.
        assert view.ihost is not None, "it is wanted somewhere"
        dlv = view.dlv
        told = self._messenger.tell_ihost(
            view, view.ihost, withdrawal_of_volume(dlv.id, dlv.epoch, dlv.epoch, dlv.set_epoch)
        )
        if told.outcome != "done":
            return self._stand_still(view, told)
        if obstacle := cloning.find_obstacle(view):
            return decide.wait(view.dlv, obstacle)
        confirmed = self._messenger.tell_dpvs(view)
        if confirmed.ahead:
            return self._block(view, confirmed)
        if confirmed.missing:
            made = decide.make_anew(view, confirmed.missing)
            return made or decide.wait(view.dlv, decide.tell_missing(view, confirmed.missing))
        awaited = {name: why for name, why in confirmed.troubles.items() if view.dpvs[name].status != "unavailable"}
        if awaited and self._is_patient(view):
            return decide.wait(view.dlv, decide.first_of(awaited))
        return (
            old_record.overtake(view)
            or decide.make_ready(view, confirmed.dpvs)
            or decide.hand_over(view, view.legs_on(confirmed.dpvs))
        )

    def _hold(self, view: View) -> Decision | None:
        """What is attached, or handed over and not confirmed yet."""
        if (said := decide.announce(view)) is not None:
            return said
        confirmed = self._messenger.tell_dpvs(view)
        if confirmed.ahead:
            return self._block(view, confirmed)
        made = decide.make_anew(view, confirmed.missing) or decide.make_ready(view, confirmed.dpvs)
        if made is not None:
            return made
        told = self._messenger.tell_volume(view)
        if told.outcome == "stopped":
            return decide.void(view, told.why)
        if told.outcome == "refused" and not self._is_patient(view):
            return self._give_up_transaction(view, told.why) or decide.wait(view.dlv, told.why)
        if told.outcome in {"failed", "refused"}:
            return self._lose_unreachable(view, self._messenger.see(view)) or decide.wait(view.dlv, told.why)
        if told.outcome in {"spent", "ahead"}:
            return self._stand_still(view, told)
        gone_on = resizing.go_on(view) or cloning.improve(view)
        homeless = self._memory.shortages.get(view.dlv.id, Shortage()).homeless
        return gone_on or decide.improve(view, confirmed.dpvs, self._shortage(view, confirmed), homeless)

    def _give_up_transaction(self, view: View, why: str) -> Decision | None:
        """What the pool was told has failed, as it refuses that for good."""
        if (failed := decide.give_up_snapshots(view, why)) is not None:
            return failed
        seen = self._messenger.see(view)
        if seen is None or seen.pool is None or seen.pool.transaction_id != view.dlv.transaction_id - 1:
            return None
        return resizing.give_up_rollback(view, why) or decide.give_up_deletions(view)

    def _hold_old_record(self, view: View) -> Decision | None:
        def is_silent(ihost: str) -> bool:
            return bool(self._memory.misses[Host("ihost", ihost)])

        return old_record.hold(view, is_silent, partial(self._is_patient, view))

    def _shortage(self, view: View, confirmed: Confirmed) -> str:
        """What the dlv lacks, in words; "" when it lacks nothing."""
        return decide.tell_missing(view, confirmed.missing) or self._memory.shortages.get(view.dlv.id, Shortage()).text

    def _lose_unreachable(self, view: View, seen: VolumeSeen | None) -> Decision | None:
        """Legs that the ihost has lost the connection to for long: one without writes tells nobody. While it is shut
        out it loses all of them.
        """
        if view.dlv.status == "fencing" or (seen is not None and old_record.is_newer(seen, view.dlv)):
            return None
        lost = decide.find_unreachable(view.dlv, seen)
        return decide.give_up_legs(view, lost) if lost and not self._is_patient(view) else None

    def _detach(self, view: View) -> Decision | None:
        assert view.ihost is not None, "attached"
        assert view.dlv.attachment is not None, "attached"
        seen = self._messenger.see(view)
        lost = decide.find_unreachable(view.dlv, seen)
        if lost and seen is not None and seen.device:  # of these it could flush nothing
            is_other = seen.epoch == view.dlv.epoch or old_record.is_newer(seen, view.dlv)
            known = self._messenger.compare(view, view.ihost, seen.epoch) if is_other else None
            if known is not None and known.outcome == "ahead":
                return decide.wait(view.dlv, known.why)
            return self._lose_unreachable(view, seen) or decide.wait(view.dlv, decide.tell_lost(view, lost))
        dlv, attachment = view.dlv, view.dlv.attachment
        wish = withdrawal_of_volume(dlv.id, dlv.epoch, attachment.epoch, dlv.set_epoch)
        told = self._messenger.tell_ihost(view, view.ihost, wish)
        if told.outcome == "done":
            return decide.take_down(view)
        if told.outcome == "stopped":
            return decide.void(view, told.why)
        if lost and told.outcome != "ahead" and not self._is_patient(view):
            return decide.void(view, decide.tell_lost(view, lost))
        return self._stand_still(view, told)

    def _fence(self, view: View) -> Decision | None:
        if (said := decide.announce(view)) is not None:
            return said
        confirmed = self._messenger.tell_dpvs(view)
        if confirmed.ahead:
            return self._block(view, confirmed)
        if (made := decide.make_anew(view, confirmed.missing)) is not None:
            return made
        shut = confirmed.dpvs | self._messenger.find_shut(view, confirmed.troubles)
        if not shut.issuperset(leg.dpv for leg in view.dlv.legs) and self._is_patient(view):
            return decide.wait(view.dlv, decide.first_of(confirmed.troubles))
        return old_record.overtake(view) or decide.take_by_force(view, view.legs_on(shut))

    def _delete(self, view: View) -> Decision | None:
        confirmed = self._messenger.tell_dpvs(view)
        return decide.finish_removal(view, confirmed.dpvs, confirmed.troubles)

    def _stand_still(self, view: View, told: Told) -> Decision | None:
        """Say why; an epoch that is spent is followed by another one, when nobody else does that."""
        if told.outcome == "spent" and not self._is_patient(view):
            return decide.renew(view)
        return decide.wait(view.dlv, told.why)

    def _block(self, view: View, confirmed: Confirmed) -> Decision:
        """Wait for an operator, however long that takes, and leave all as it is. Who is away after that is waited for
        anew.
        """
        return decide.wait(view.dlv, decide.first_of(confirmed.ahead)) or Decision(view.dlv, waits=True)

    def _is_patient(self, view: View) -> bool:
        return self._memory.stand_still(view.dlv.id, view.dlv.epoch) < self._patience


def _note_holders(work: Work, before: Dlv, decision: Decision) -> None:
    """Remember an ihost that was shut out, as it may have the volume still; one that gets it anew has given it up."""
    after = decision.dlv
    if after is not None and decision.shut:
        dropped.drop_volume(work.connection, after, decision.shut)
    if after is not None and after.attachment is not None and before.attachment is None:
        dropped.forget_volume(work.connection, after.id, after.attachment.ihost, after.epoch)
