"""Rounds: every host is looked at, every dlv attended to; what takes long is gone on with beside the next round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from drystone.base.errors import DrystoneError
from drystone.cluster.model.dpv import Dpv, Ihost
from drystone.cluster.monitor.agent import Agent
from drystone.cluster.monitor.attendant import Attendant
from drystone.cluster.monitor.backups import Agent as BackupAgent
from drystone.cluster.monitor.backups import BackupAttendant
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.monitor.hosts import Hosts
from drystone.cluster.monitor.memory import Memory
from drystone.cluster.monitor.moving import Moving
from drystone.cluster.monitor.restoring import Agent as RestoreAgent
from drystone.cluster.monitor.restoring import RestoreAttendant
from drystone.cluster.queue.hint import Hint, HintKind
from drystone.cluster.state import backups, dropped, leases, moves, restores, rows
from drystone.cluster.state.answers import forget_answers
from drystone.cluster.state.database import Database
from drystone.cluster.state.dropped import Dropped, DroppedVolume
from drystone.cluster.state.leases import Lease

log = logging.getLogger(__name__)

_LEASE = "monitor"
_SWEEP_ROUNDS = 1000
"""Between two looks for old idempotency keys."""


_HINTS_LIMIT = 64
"""Of those that are heeded at once; the rest is for the next round."""


class AnyAgent(Agent, BackupAgent, RestoreAgent, Protocol):
    """An agent of either kind."""


class Way(NamedTuple):
    """How agents are spoken to. :ivar agent_at: the one at an address. :ivar submit: does work, now or in a thread."""

    agent_at: Callable[[str], AnyAgent]
    submit: Callable[[Callable[[], None]], object]


@dataclass(slots=True)
class _UnderWay:
    """:ivar is_round: it is done for a round, not for a hint. :ivar following: what is to be done after it."""

    is_round: bool
    following: Callable[[], None] | None = None


class Rounds:
    """A monitor's rounds. The constructor has no effects.

    :param name: of this monitor, no other's. :param calls: that may take long; :param surveys: that may not, and do
        not wait for calls. :param patience: rounds, see `MonitorSettings`.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        calls: Way,
        surveys: Way,
        *,
        patience: int,
    ) -> None:
        self._database = database
        self._name = name
        self._calls = calls
        self._surveys = surveys
        self._patience = patience
        self._memory = Memory()
        self._attendant = Attendant(database, calls.agent_at, self._memory, patience)
        self._hosts = Hosts(database, surveys.agent_at, self._memory, patience)
        self._backups = BackupAttendant(database, calls.agent_at)
        self._restores = RestoreAttendant(database, calls.agent_at)
        self._moving = Moving(database)
        self._lease: Lease | None = None
        self._idle = 0
        self._rounds = 0
        self._guard = Lock()
        self._under_way: dict[Hashable, _UnderWay] = {}

    def go(self) -> bool:
        """One round; whether it is this monitor's turn. :raises DrystoneError: the database failed."""
        if not self._has_turn():
            return False
        look = self._database.read(_look)
        dlvs = look.dlvs
        hosts: list[Dpv | Ihost] = [*look.dpvs.values(), *look.ihosts.values()]
        for host in hosts:
            self._start(self._surveys, (type(host), host.name), partial(self._hosts.look, host))
        self._memory.keep_only(dlvs.keys())
        for name in dlvs.values():
            self._start(self._calls, ("dlv", name), partial(self._attendant.attend, name))
        for backup in self._database.read(backups.unfinished):
            self._start(self._calls, ("backup", backup), partial(self._backups.attend, backup))
        for job in self._database.read(restores.under_way):
            self._start(self._calls, ("restore", job), partial(self._restores.attend, job))
        for dvg in look.restless:
            self._start(self._calls, ("dvg", dvg), partial(self._moving.attend, dvg))
        for leg in look.legs:
            if leg.dlv not in dlvs:
                work = partial(self._hosts.remove_left, leg, look.dpvs[leg.dpv].address)
                self._start(self._calls, ("leg", leg.id), work)
        for volume in look.volumes:
            if volume.dlv not in dlvs:
                work = partial(self._hosts.remove_left_volume, volume, look.ihosts[volume.ihost].address)
                self._start(self._calls, ("volume", volume.dlv, volume.ihost), work)
        if self._rounds % _SWEEP_ROUNDS == 0:
            self._database.change(forget_answers, caller=CALLER)
        self._rounds += 1
        return True

    def heed(self, hints: Collection[Hint]) -> None:
        """Look now at what hints name, where it is this monitor's turn. It is no round: no patience is lost by it.

        A hint may be wrong, or one of very many: what is not there costs a line of one query, and what is there is
        looked at once at a time. :raises DrystoneError: the database failed.
        """
        if self._lease is None or self._lease.holder != self._name:
            return
        some = sorted(hints, key=lambda hint: (hint.kind, hint.subject))[:_HINTS_LIMIT]
        names, hosts = self._database.read(lambda connection: _find_hinted(connection, some))
        if asked := {hint.subject for hint in some if hint.kind == "backup"}:
            for backup in sorted(asked.intersection(self._database.read(backups.unfinished))):
                self._start(self._calls, ("backup", backup), partial(self._backups.attend, backup), is_round=False)
        for host in hosts:
            look = partial(self._hosts.look, host, is_round=False)
            self._start(self._surveys, (type(host), host.name), look, is_round=False)
        for name in names:
            attend = partial(self._attendant.attend, name, is_round=False)
            self._start(self._calls, ("dlv", name), attend, is_round=False)

    def _has_turn(self) -> bool:
        stale = self._lease if self._idle >= self._patience else None
        found = self._database.change(lambda work: leases.count_turn(work, _LEASE, self._name, stale), caller=CALLER)
        self._idle = self._idle + 1 if found == self._lease else 0
        self._lease = found
        return found.holder == self._name

    def _start(self, way: Way, key: Hashable, work: Callable[[], None], *, is_round: bool = True) -> None:
        """Have something done, unless it is being done since an earlier round.

        What a hint asks for while it is being done is done after it, as it may have looked too early; and so is what a
        round asks for while it is being done for a hint, as hints that never end must not keep rounds from it.
        """
        with self._guard:
            under_way = self._under_way.get(key)
            if under_way is not None:
                if (is_round and not under_way.is_round) or (not is_round and under_way.following is None):
                    under_way.following = partial(self._start, way, key, work, is_round=is_round)
                return
            self._under_way[key] = _UnderWay(is_round)

        def do() -> None:
            try:
                work()
            except DrystoneError as error:
                log.warning("%s: %s", key, error)
            except Exception:  # the supervisor of a round's work: a defect ends one piece of it, never the monitor
                log.exception("%s", key)
            finally:
                with self._guard:
                    following = self._under_way.pop(key).following
                if following is not None:
                    following()

        way.submit(do)


def _find_hinted(connection: Connection, hints: Collection[Hint]) -> tuple[list[str], list[Dpv | Ihost]]:
    """The dlvs, by name, and the hosts that are meant, those that there are."""

    def of(kind: HintKind) -> list[str]:
        return [hint.subject for hint in hints if hint.kind == kind]

    dlvs = {*of("dlv"), *(subject.partition("@")[0] for subject in of("snapshot"))}
    if jobs := of("job"):
        dlvs.update(job.dlv for job in rows.find_jobs(connection, jobs))
    hosts: list[Dpv | Ihost] = []
    if dpvs := of("dpv"):
        hosts += rows.find_dpvs(connection, dpvs)
    if ihosts := of("ihost"):
        hosts += rows.find_ihosts(connection, ihosts)
    return rows.names_of(connection, dlvs), hosts


class _Look(NamedTuple):
    """All hosts by their names; the names of all dlvs by their ids; what is left over of dlvs; dvgs of which legs
    are to move.
    """

    dpvs: dict[str, Dpv]
    ihosts: dict[str, Ihost]
    dlvs: dict[str, str]
    legs: list[Dropped]
    volumes: list[DroppedVolume]
    restless: list[str]


def _look(connection: Connection) -> _Look:
    return _Look(
        {each.name: each for each in rows.find_dpvs(connection)},
        {each.name: each for each in rows.find_ihosts(connection)},
        rows.dlv_names(connection),
        dropped.find(connection),
        dropped.find_volumes(connection),
        moves.restless_dvgs(connection),
    )
