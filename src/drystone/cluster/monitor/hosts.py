"""Hosts: whether their agents answer, and what follows of it: available, unavailable.

What an operator said of a host stays: the monitor takes back only what it said itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from drystone.base.errors import DrystoneError
from drystone.cluster.model.calls import withdrawal_of_legs, withdrawal_of_volume
from drystone.cluster.model.dpv import Dpv, Ihost
from drystone.cluster.monitor.agent import Agent
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.monitor.memory import Host, HostKind, Memory
from drystone.cluster.state import dropped, rows
from drystone.cluster.state.database import Database, Work
from drystone.cluster.state.dropped import Dropped, DroppedVolume

log = logging.getLogger(__name__)

ANSWERS = "its agent answers"
AWAY = "its agent does not answer"

AnyHost = Dpv | Ihost


def judge(host: AnyHost, misses: int, patience: int) -> AnyHost:
    """The host as it is to be recorded. :param misses: surveys without an answer, one after the other."""
    if not misses and (host.status == "creating" or (host.status, host.reason) == ("unavailable", AWAY)):
        return replace(host, status="available", reason=ANSWERS)
    if misses >= patience and host.status == "available":
        return replace(host, status="unavailable", reason=AWAY)
    return host


class Hosts:
    """Looks after hosts, several at a time. The constructor has no effects.

    :param agent_at: the agent at an address; its answer is not waited for long. :param patience: surveys.
    """

    def __init__(self, database: Database, agent_at: Callable[[str], Agent], memory: Memory, patience: int) -> None:
        self._database = database
        self._agent_at = agent_at
        self._memory = memory
        self._patience = patience

    def look(self, recorded: AnyHost, *, is_round: bool = True) -> None:
        """Ask a host's agent what it has, and record whether it answers. :raises DrystoneError: the database failed.

        :param is_round: whether it is counted when it does not; patience is counted in these.
        """
        kind: HostKind = "dpv" if isinstance(recorded, Dpv) else "ihost"
        host = Host(kind, recorded.name)
        try:
            survey = self._agent_at(recorded.address).survey()
        except DrystoneError as error:
            log.info("%s %s: %s", kind, host.name, error)
            if not is_round:
                return
            self._memory.misses[host] += 1
        else:
            self._memory.take(host, survey)
            unknown = survey.unknown
            if unknown and unknown != self._memory.unknown.get(host):
                log.warning("%s %s has what no call has named: %s", kind, host.name, ", ".join(unknown))
            self._memory.unknown[host] = unknown
        after = judge(recorded, self._memory.misses[host], self._patience)
        if after != recorded:
            self._database.change(partial(_save, kind=kind, before=recorded, after=after), caller=CALLER)

    def remove_left(self, left: Dropped, address: str) -> None:
        """Have a dpv give up the leg of a dlv that is gone."""
        try:
            self._agent_at(address).put(withdrawal_of_legs(left.dlv, left.epoch, left.epoch))
        except DrystoneError as error:
            log.info("dpv %s, leg %s: %s", left.dpv, left.id, error)
            return
        self._database.change(
            lambda work: dropped.forget(work.connection, left.dlv, [left.dpv], left.epoch), caller=CALLER
        )

    def remove_left_volume(self, left: DroppedVolume, address: str) -> None:
        """Have an ihost that was shut out give up a dlv that is gone."""
        try:
            self._agent_at(address).put(withdrawal_of_volume(left.dlv, left.epoch, left.epoch, left.epoch))
        except DrystoneError as error:
            log.info("ihost %s, dlv %s: %s", left.ihost, left.dlv, error)
            return
        self._database.change(lambda work: dropped.forget_volume(work.connection, *left), caller=CALLER)


def _save(work: Work, kind: HostKind, before: AnyHost, after: AnyHost) -> None:
    """Unless somebody was faster: then the next round judges anew."""
    connection, names = work.connection, [before.name]
    if isinstance(before, Dpv) and isinstance(after, Dpv):
        if rows.find_dpvs(connection, names) != [before]:
            return
        rows.save_dpv(connection, before, after)
    elif isinstance(before, Ihost) and isinstance(after, Ihost):
        if rows.find_ihosts(connection, names) != [before]:
            return
        rows.save_ihost(connection, before, after)
    work.tell(after.status, kind, after.name, after.reason)
