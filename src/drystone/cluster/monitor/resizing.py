"""What is to be recorded next of a dlv that gets larger, or that is to go back to a snapshot.

Sizes and rollbacks are wishes like all others: recorded first, then told to the ihost, which has them when it has
confirmed the epoch. The jobs of them follow that.
"""

from __future__ import annotations

from msgspec.structs import replace

from drystone.cluster.agents.answers import VolumeSeen
from drystone.cluster.model.job import Job, JobStatus
from drystone.cluster.model.resizing import give_up_told, name_of, tell_rollback
from drystone.cluster.monitor.decide import Decision
from drystone.cluster.monitor.view import View

_JobStep = tuple[Job, Job]


def go_on(view: View) -> Decision | None:
    """Of a dlv that its ihost has as it is recorded."""
    return _tell_rollback(view) or finish_jobs(view)


def _tell_rollback(view: View) -> Decision | None:
    """Have the pool told, once all that was asked of it before is done."""
    dlv, rollback = view.dlv, view.dlv.rollback
    if rollback is None or not dlv.wanted:
        return None
    if any(
        each.status in {"creating", "deleting"} or (each.status == "planned" and each.thin_id < rollback.thin_id)
        for each in dlv.snapshots
    ):
        return None
    jobs = tuple(
        (job, replace(job, status="processing", reason="the pool is told of it"))
        for job in view.jobs
        if job.kind == "rollback" and job.status == "creating"
    )
    text = f"the pool is told to go back to snapshot {name_of(dlv, rollback)}"
    return Decision(tell_rollback(dlv, rollback), events=(("rolling back", "dlv", dlv.name, text),), jobs=jobs)


def give_up_rollback(view: View, why: str) -> Decision | None:
    """Have the volume be what it was, as its pool, which is at the transaction before, does not take the rollback.

    None: none is under way.
    """
    ended = [job for job in view.jobs if job.kind == "rollback" and job.status == "processing"]
    if not ended:
        return None
    told = _end(view, ended, "failed", f"the volume is as it was, as its pool refuses to go back: {why}"[:1000])
    return told._replace(dlv=give_up_told(view.dlv))


def finish_jobs(view: View) -> Decision | None:
    """Sizes that the ihost has, or that the next one will have; rollbacks that the pool has confirmed."""
    ended = [
        job
        for job in view.jobs
        if job.status == "processing"
        and (
            (job.kind == "resize" and not job.fill)
            or (job.kind == "rollback" and view.dlv.attachment is not None)
        )
    ]  # fmt: skip
    if not ended:
        return None
    return _end(view, ended, "finished", "")


def settle_filesystem(view: View, seen: VolumeSeen | None) -> Decision | None:
    """The file system has grown, or cannot: it is not asked for again."""
    dlv = view.dlv
    found = None if seen is None else seen.filesystem
    if not dlv.fill or found is None or found.fill != dlv.fill:
        return None
    ended = [job for job in view.jobs if job.kind == "resize" and 0 < job.fill <= dlv.fill]
    status: JobStatus = "failed" if found.problem else "finished"
    reason = f"the volume has its size, the file system on it does not: {found.problem}" if found.problem else ""
    told = _end(view, ended, status, reason[:1000])
    return told._replace(dlv=replace(dlv, fill=0, epoch=dlv.epoch + 1))


def _end(view: View, jobs: list[Job], status: JobStatus, reason: str) -> Decision:
    """Through the states that lie in between."""
    steps: list[_JobStep] = []
    for job in jobs:
        middle = replace(job, status="finishing")
        steps += [(job, middle), (middle, replace(middle, status=status, reason=reason))]
    return Decision(view.dlv, events=tuple((status, "job", job.id, reason) for job in jobs), jobs=tuple(steps))
