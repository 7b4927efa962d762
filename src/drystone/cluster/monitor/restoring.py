"""Restores: the ihost that has a dlv to fill is told of the backup, again and again, until all is there or it has
failed. Then the dlv is detached, and like any other; or it is deleted.

What an ihost does of it, it may forget: told again it begins anew. What it has written by then is of the same backup,
and what that has nothing at still reads as zeros.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import DrystoneError, NotFoundError
from drystone.cluster.model.backup import BackupSeen, RestoreWish
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.dpv import Ihost
from drystone.cluster.model.job import Job
from drystone.cluster.model.restoring import complete
from drystone.cluster.monitor.decide import CALLER
from drystone.cluster.state import rows
from drystone.cluster.state.database import Database, Work

log = logging.getLogger(__name__)


class Agent(Protocol):
    """An ihost's agent, as far as restores go."""

    def restore(self, wish: RestoreWish) -> BackupSeen: ...


class _Look(NamedTuple):
    """:ivar ihost: that has the dlv, None when it is not there to be filled."""

    job: Job
    dlv: Dlv
    ihost: Ihost | None


class RestoreAttendant:
    """Attends to restores, each by one thread. The constructor has no effects. :param agent_at: of an address."""

    def __init__(self, database: Database, agent_at: Callable[[str], Agent]) -> None:
        self._database = database
        self._agent_at = agent_at

    def attend(self, job_id: str) -> None:
        """Bring a restore as far as it goes by now. :raises DrystoneError: the database failed."""
        look = self._database.read(lambda connection: _load(connection, job_id))
        if look is None or look.ihost is None or look.dlv.restore is None:
            return
        from_ = look.dlv.restore
        wish = RestoreWish(job_id, look.dlv.id, look.dlv.name, from_.repository, from_.volume, from_.backup)
        try:
            after = judge(look.job, self._agent_at(look.ihost.address).restore(wish), look.ihost.name)
        except DrystoneError as error:
            log.info("ihost %s, restore %s: %s", look.ihost.name, job_id, error)
            after = replace(look.job, reason=f"{look.ihost.name}: {error.message}"[:1000])
        if after != look.job:
            self._database.change(lambda work: _save(work, look, after), caller=CALLER)


def judge(job: Job, seen: BackupSeen, ihost: str) -> Job:
    """A job as it is to be recorded, by what its ihost says of it."""
    if seen.status == "finished":
        return replace(job, status="finishing", reason="its ihost is to give it up", done=job.total)
    if seen.status == "failed":
        return replace(job, status="failed", reason=f"{ihost}: {seen.reason}"[:1000])
    total = seen.total or job.total
    return replace(job, reason=f"{ihost} fills it", done=seen.done, total=total)


def _load(connection: Connection, job_id: str) -> _Look | None:
    """None: there is nothing to be filled."""
    job = rows.load_job(connection, job_id)
    try:
        dlv = rows.load_dlv(connection, job.dlv)
    except NotFoundError:
        return None
    is_here = job.status == "processing" and dlv.status == "restoring" and dlv.attachment is not None
    ihost = rows.load_ihost(connection, dlv.attachment.ihost) if is_here and dlv.attachment is not None else None
    return _Look(job, dlv, ihost)


def _save(work: Work, look: _Look, after: Job) -> None:
    """What an ihost has said; unless the job, or where the dlv is, was changed meanwhile: then it is asked again."""
    newest = rows.find_dlvs(work.connection, [look.dlv.name])
    if rows.find_jobs(work.connection, [after.id]) != [look.job] or [each.id for each in newest] != [look.dlv.id]:
        return
    if after.status == "finishing":
        if newest[0].status != "restoring":
            return
        rows.save_dlv(work.connection, newest[0], complete(newest[0]))
        work.tell("restored", "dlv", look.dlv.name)
    rows.save_job(work.connection, look.job, after)
    if after.status != look.job.status:
        work.tell(after.status, "job", after.id, after.reason)
