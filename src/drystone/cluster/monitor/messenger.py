"""Telling agents what is recorded of a dlv, and asking them what they see: what is known by then is not told again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial

from drystone.base.errors import DamagedError, DrystoneError, MismatchError, NotFoundError, RefusedError
from drystone.cluster.agents.answers import LegsSeen, VolumeSeen
from drystone.cluster.model import in_sync
from drystone.cluster.model.calls import VolumeWish, withdrawal_of_volume
from drystone.cluster.model.dlv import MirrorKey
from drystone.cluster.model.dpv import Ihost
from drystone.cluster.model.in_sync import Assembly
from drystone.cluster.model.tables import mirror_name
from drystone.cluster.monitor import old_record
from drystone.cluster.monitor.agent import Agent, Confirmed, Told
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.monitor.memory import Host, Memory
from drystone.cluster.monitor.view import View, legs_wishes, volume_wish_of
from drystone.cluster.state import dropped
from drystone.cluster.state.database import Database, Work

log = logging.getLogger(__name__)


class Messenger:
    """Makes a monitor's calls of agents. The constructor has no effects. :param agent_at: the agent at an address."""

    def __init__(self, database: Database, agent_at: Callable[[str], Agent], memory: Memory) -> None:
        self._database = database
        self._agent_at = agent_at
        self._memory = memory

    def tell_dpvs(self, view: View) -> Confirmed:
        """Have every dpv have what is wished of it. Those that do not answer are not waited for."""
        confirmed, troubles, ahead = set[str](), dict[str, str](), dict[str, str]()
        missing = set[str]()
        for name, wish in legs_wishes(view).items():
            host = Host("dpv", name)
            if name in view.ahead and not self._memory.misses[host]:
                troubles[name] = ahead[name] = old_record.tell_dpv(view, view.ahead[name])
                continue
            if not self._memory.is_done(host, wish.dlv, wish.epoch, wish.set_epoch):
                if self._memory.misses[host]:
                    troubles[name] = "its agent does not answer"
                    continue
                try:
                    self._agent_at(view.dpvs[name].address).put(wish)
                except DrystoneError as error:
                    log.info("dpv %s, dlv %s: %s", name, view.dlv.name, error)
                    troubles[name] = error.message
                    missing |= _missing_of(error) & view.legs_on([name])
                    if (epoch := old_record.find_ahead(error, wish)) is not None:
                        ahead[name] = old_record.tell_dpv(view, epoch)
                        noted = partial(old_record.note_dpv, dlv=view.dlv, dpv=name, epoch=epoch)
                        self._database.change(noted, caller=CALLER)
                    continue
                self._memory.done[host, wish.dlv] = wish.epoch, wish.set_epoch
            confirmed.add(name)
        if left := view.leaving & confirmed:
            self._database.change(
                lambda work: dropped.forget(work.connection, view.dlv.id, left, view.dlv.epoch), caller=CALLER
            )
        return Confirmed(frozenset(confirmed), troubles, ahead, frozenset(missing))

    def tell_ihost(self, view: View, ihost: Ihost, wish: VolumeWish) -> Told:
        """Have an ihost have what is wished of it."""
        host = Host("ihost", ihost.name)
        if self._memory.is_done(host, wish.dlv, wish.epoch, wish.set_epoch):
            return Told("done")
        if self._memory.misses[host]:
            return Told("failed", f"{host.name}: its agent does not answer")
        agent = self._agent_at(ihost.address)
        try:
            agent.put(wish)
        except (NotFoundError, RefusedError) as error:
            return self._ask_why(host, agent, wish.dlv, error)
        except MismatchError as error:
            if (epoch := old_record.find_ahead(error, wish)) is not None:
                return self.compare(view, ihost, epoch)
            return Told("failed", f"{host.name}: {error.message}")
        except DrystoneError as error:
            log.info("ihost %s, dlv %s: %s", host.name, view.dlv.name, error)
            is_refused = error.facts.get("operation") == "message"
            return Told("refused" if is_refused else "failed", f"{host.name}: {error.message}")
        self._memory.done[host, wish.dlv] = wish.epoch, wish.set_epoch
        return Told("done")

    def compare(self, view: View, ihost: Ihost, epoch: int) -> Told:
        """What it means that an ihost knows the record's epoch, or a newer one, and not the wish that it is to have.

        While it is to detach there are two wishes of an epoch: a leg that was lost then was committed, and the ihost
        told of that by the API. To be told the same once more changes nothing.
        """
        dlv = view.dlv
        if epoch == dlv.epoch and dlv.status == "detaching":
            wish = volume_wish_of(view, in_sync.standing(dlv))
            try:
                self._agent_at(ihost.address).put(wish)
            except MismatchError as error:
                if old_record.find_ahead(error, wish) is None:
                    return Told("failed", f"{ihost.name}: {error.message}")
            except DrystoneError as error:
                is_taken = error.facts.get("operation") == "message"
                return Told("spent" if is_taken else "failed", f"{ihost.name}: {error.message}")
            else:
                return Told("spent", f"{ihost.name}: a leg was lost meanwhile")
        noted = partial(old_record.note_ihost, dlv=dlv, ihost=ihost.name, epoch=epoch)
        is_ahead = self._database.change(noted, caller=CALLER)
        return Told("ahead" if is_ahead else "failed", old_record.tell_ihost(view, ihost.name, epoch))

    def _ask_why(self, host: Host, agent: Agent, dlv: str, refusal: NotFoundError | RefusedError) -> Told:
        """What it means that an ihost refuses a wish."""
        why = f"{host.name}: {refusal.message}"
        try:
            seen = agent.look(dlv, VolumeSeen)
        except NotFoundError:
            return Told("stopped", f"{host.name} knows nothing of it: its notes are gone")
        except DrystoneError:
            return Told("failed", why)
        if seen.stopped:
            return Told("stopped", seen.stopped)
        return Told("spent" if isinstance(refusal, RefusedError) else "failed", why)

    def tell_volume(self, view: View) -> Told:
        """Have the ihost have the dlv as it is recorded, logs beginning as nobody can know better."""
        assert view.ihost is not None, "attached"
        host = Host("ihost", view.ihost.name)
        if self._memory.is_done(host, view.dlv.id, view.dlv.epoch, view.dlv.set_epoch):
            return Told("done")
        handed = self._memory.handed.get(view.dlv.id)
        fresh = {each.mirror: each for each in handed[1]} if handed and handed[0] == view.dlv.epoch else {}
        try:
            assemblies = self._standing(view, fresh)
        except DrystoneError as error:
            return Told("failed", f"{host.name}: {error.message}")
        told = self.tell_ihost(view, view.ihost, volume_wish_of(view, assemblies))
        if told.outcome == "done":  # how logs begin is said once: to whoever asks later it is not so any more
            self._memory.handed.pop(view.dlv.id, None)
        return told

    def _standing(self, view: View, fresh: dict[MirrorKey, Assembly]) -> list[Assembly]:
        """The mirrors as recorded, and those of a change that was just recorded as that says."""
        assert view.ihost is not None, "attached"
        keys = {key for group in view.dlv.groups if not group.blank for key in group.mirrors}
        absent = set[MirrorKey]()
        if keys - fresh.keys():
            seen = self._look(self._agent_at(view.ihost.address), view.dlv.id)
            there = {each.name for each in seen.mirrors} if seen else set()
            absent = {key for key in keys if mirror_name(view.dlv, key) not in there}
        return [fresh.get(each.mirror, each) for each in in_sync.standing(view.dlv, absent)]

    def see(self, view: View) -> VolumeSeen | None:
        """What the ihost of an attached dlv sees of it, None when nobody can say."""
        if view.ihost is None or view.dlv.attachment is None or self._memory.misses[Host("ihost", view.ihost.name)]:
            return None
        try:
            return self._look(self._agent_at(view.ihost.address), view.dlv.id)
        except DrystoneError:
            return None

    def find_shut(self, view: View, dpvs: Collection[str]) -> set[str]:
        """Of dpvs that have not confirmed all that is wished of them: those that let nobody in any more."""
        shut = set()
        for name in dpvs:
            try:
                seen = self._agent_at(view.dpvs[name].address).look(view.dlv.id, LegsSeen)
            except DrystoneError:
                continue
            if seen.epoch == view.dlv.epoch and not any(each.initiators for each in seen.legs):
                shut.add(name)
        return shut

    def clear_shut(self, view: View) -> None:
        """Have ihosts that were shut out, and answer again, give up what they had. Nobody waits for that."""
        dlv = view.dlv
        for ihost in view.shut:
            nothing = withdrawal_of_volume(dlv.id, dlv.epoch, dlv.epoch, dlv.set_epoch)
            told = self.tell_ihost(view, ihost, nothing)
            if told.outcome == "done":
                self._database.change(
                    partial(_forget_volume, dlv=dlv.id, ihost=ihost.name, epoch=dlv.epoch), caller=CALLER
                )

    def _look(self, agent: Agent, dlv: str) -> VolumeSeen | None:
        try:
            return agent.look(dlv, VolumeSeen)
        except NotFoundError:
            return None


def _missing_of(error: DrystoneError) -> set[str]:
    """The legs (ids) that a dpv says are not on its disk, although they were made."""
    missing = error.facts.get("missing")
    if not isinstance(error, DamagedError) or not isinstance(missing, list):
        return set()
    return {leg for leg in missing if isinstance(leg, str)}


def _forget_volume(work: Work, dlv: str, ihost: str, epoch: int) -> None:
    dropped.forget_volume(work.connection, dlv, ihost, epoch)
