"""Space of a dvg given out to a dlv that there is: another group, another leg in the place of a lost one.

A dvg's space is given out under its version, see `rows.touch_dvg`.
"""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.base.errors import BusyError, NotFoundError
from drystone.base.names import new_uuid
from drystone.cluster.model.allocation import allocate, replacement
from drystone.cluster.model.dlv import Dlv, Role
from drystone.cluster.model.dpv import Dvg
from drystone.cluster.model.in_sync import exchange, extend
from drystone.cluster.model.job import Job
from drystone.cluster.model.layout import another_group
from drystone.cluster.state import dropped, rows
from drystone.cluster.state.database import Work

UNTOLD = "no agent has been told of it yet"


def plan_extension(connection: Connection, name: str, size: int, role: Role = "data") -> tuple[Dvg, Dlv, Dlv]:
    """The dvg, the dlv, and what that becomes with one more group of `size` bytes at least.

    :raises NotFoundError: there is no such dlv. :raises BusyError: it is being deleted.
    :raises ExhaustedError: the dvg has no room.
    """
    dlv = rows.load_dlv(connection, name)
    if dlv.status in {"deleting", "failed"}:
        raise BusyError(f"dlv {name} is {dlv.status}")
    dvg = rows.load_dvg(connection, dlv.dvg)  # before the space is looked at: its version stands for that
    group = another_group(len(dlv.groups), role, size, dlv.stripes)
    legs = allocate([group], dlv.mirrors, rows.find_dpvs(connection, dvg=dvg.name), dlv.legs, new_uuid)
    return dvg, dlv, extend(dlv, group, legs).dlv


def start_extension(work: Work, name: str, size: int, role: Role = "data") -> Job:
    """Give the space out, and record the job. Raises as `plan_extension`."""
    dvg, dlv, after = plan_extension(work.connection, name, size, role)
    rows.touch_dvg(work.connection, dvg)
    rows.save_dlv(work.connection, dlv, after)
    job = Job(id=new_uuid(), kind="extend", dlv=dlv.name, group=after.groups[-1].number, reason=UNTOLD)
    return begin_job(work, job, f"extend dlv {dlv.name} by {size} bytes of {role}")


def start_failover(work: Work, name: str, lost: str) -> Job:
    """Put a blank leg in the place of one that is in no set, and record the job that brings it there.

    :raises NotFoundError: there is no such dlv, or it has no such leg. :raises RefusedError: the leg is in its set.
    :raises ExhaustedError: the dvg has no room for it.
    """
    rows.lock_dvg(work.connection, rows.load_dlv(work.connection, name).dvg)
    dlv = rows.load_dlv(work.connection, name)
    old = next((leg for leg in dlv.legs if leg.id == lost), None)
    if old is None:
        raise NotFoundError(f"dlv {name} has no leg {lost}")
    dvg = rows.load_dvg(work.connection, dlv.dvg)
    new = replacement(dlv, old, rows.find_dpvs(work.connection, dvg=dvg.name), new_uuid)
    after = exchange(dlv, old.id, new).dlv
    rows.touch_dvg(work.connection, dvg)
    rows.save_dlv(work.connection, dlv, after)
    dropped.drop(work.connection, after, old)
    for job in rows.jobs_of(work.connection, name):
        if job.leg == old.id:
            rows.save_job(work.connection, job, replace(job, status="failed", reason="its leg was lost too"))
    job = Job(id=new_uuid(), kind="failover", dlv=name, group=old.group, leg=new.id, reason=UNTOLD)
    return begin_job(work, job, f"leg {new.id} on dpv {new.dpv} instead of {old.id} on dpv {old.dpv}")


def begin_job(work: Work, job: Job, text: str) -> Job:
    """Record a job that is new. :param text: of its event."""
    rows.add_job(work.connection, job)
    work.tell("creating", "job", job.id, text)
    return job
