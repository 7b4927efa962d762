"""What is to be recorded next of a clone, and of a dlv that clones are copied from. As `decide`: functions of values.

A clone is made like any dlv; goes where its source is; is copied there behind its user; when all of it is durable does
without its source, by record and then in the kernel; then its source gives up the snapshot. Each of these is recorded
before any agent is told, so that whoever is killed in between, another goes on.
"""

from __future__ import annotations

from msgspec.structs import replace

from drystone.cluster.agents.answers import VolumeSeen
from drystone.cluster.model.cloning import complete, is_copying, settle
from drystone.cluster.model.job import Job
from drystone.cluster.monitor.decide import Decision, become, wait
from drystone.cluster.monitor.view import View


def is_made(view: View) -> bool:
    """Whether it has all its legs, and is to be copied or filled next."""
    is_empty = view.dlv.source is not None or view.dlv.restore is not None
    return is_empty and all(leg.status == "ready" for leg in view.dlv.legs)


def place(view: View) -> Decision | None:
    """A clone that is made is to be attached where its source is; what is restored goes where it is filled."""
    if view.dlv.restore is not None:
        ihost = view.dlv.restore.ihost
        return become(replace(view.dlv, wanted=ihost, epoch=view.dlv.epoch + 1), "restoring", f"{ihost} is to fill it")
    if obstacle := find_obstacle(view):
        return wait(view.dlv, obstacle)
    assert view.source is not None, "there is no obstacle"
    assert view.source.attachment is not None, "there is no obstacle"
    ihost = view.source.attachment.ihost
    text = f"to {ihost}, where its source {view.source.name} is"
    return become(replace(view.dlv, wanted=ihost, epoch=view.dlv.epoch + 1), "attaching", f"to be attached {text}")


def find_obstacle(view: View) -> str:
    """Why a dlv cannot be put together yet; "" when it can: only a clone needs its source for that."""
    if not is_copying(view.dlv):
        return ""
    assert view.source is not None, "no dlv goes that another is copied from"
    name, there = view.source.name, view.source.attachment
    snapshot = view.source_snapshot
    if there is None or view.source.status != "attached":
        return f"its source, dlv {name}, is {view.source.status}: it is copied where that is attached"
    if view.dlv.wanted not in {"", there.ihost}:
        return f"its source, dlv {name}, is at {there.ihost}: detach it, and attach it there"
    assert snapshot is not None, "no snapshot goes that a dlv is copied from"
    if snapshot.status != "available":
        return f"snapshot {snapshot.name} of its source, dlv {name}, is {snapshot.status}"
    return ""


def follow(view: View, seen: VolumeSeen | None) -> Decision | None:
    """A clone of which its ihost says that all is copied and durable does without its source from now on.

    It says so of the epoch that is recorded: of an attachment before, nothing is here any more.
    """
    found = seen.clone if seen is not None and seen.epoch == view.dlv.epoch else None
    is_here = view.dlv.attachment is not None and view.dlv.status in {"attaching", "attached"}
    if found is None or not found.is_durable or not is_copying(view.dlv) or not is_here:
        return None
    assert view.source is not None, "a clone"
    event = ("copied", "dlv", view.dlv.name, f"from dlv {view.source.name}")
    return Decision(complete(view.dlv), events=(event,))


def improve(view: View) -> Decision | None:
    """What is next of an attached dlv that its ihost has as it is recorded."""
    if view.dlv.source is not None and not is_copying(view.dlv):
        return Decision(settle(view.dlv))
    return _release(view)


def _release(view: View) -> Decision | None:
    """Snapshots from which nothing is copied any more are closed; temporary ones go."""
    after, gone = [], []
    for each in view.dlv.snapshots:
        is_idle = each.opened and each.id not in view.copied
        if is_idle and each.temporary and each.status == "planned":
            gone.append(each)
        elif is_idle and each.temporary and each.status in {"available", "failed"}:
            after.append(replace(each, opened=False, status="deleting", reason="its clone needs it no more"))
            gone.append(each)
        else:
            after.append(replace(each, opened=False) if is_idle and not each.temporary else each)
    if (*after,) == view.dlv.snapshots:
        return None
    events = tuple(("deleting", "snapshot", f"{view.dlv.name}@{each.name}", each.reason) for each in gone)
    return Decision(replace(view.dlv, snapshots=(*after,), epoch=view.dlv.epoch + 1), events=events)


def drop(view: View) -> Decision | None:
    """A clone whose job is canceled goes, and so does what cannot be restored: it is detached, then deleted."""
    dlv = view.dlv
    reason = _find_end(view)
    if not reason or dlv.status in {"detaching", "fencing", "deleting"}:
        return None
    if dlv.attachment is not None:
        return become(replace(dlv, wanted="", epoch=dlv.epoch + 1), "detaching", reason)
    legs = tuple(replace(leg, status="deleting") for leg in dlv.legs)
    return become(replace(dlv, wanted="", legs=legs, epoch=dlv.epoch + 1), "deleting", reason)


def _find_end(view: View) -> str:
    """Why a dlv that has not all yet will never have; "" when it may."""
    if any(job.kind in {"clone", "restore"} and job.status == "canceling" for job in view.jobs):
        return "its job was canceled"
    if view.dlv.restore is not None and not any(job.kind == "restore" for job in view.jobs):
        return "its restore has failed"
    return ""


def count(view: View, seen: VolumeSeen | None) -> tuple[Job, Job] | None:
    """How far its job is, before and after; None: as far as it is recorded."""
    job = next((each for each in view.jobs if each.kind == "clone" and each.status == "processing"), None)
    if job is None or view.dlv.source is None or view.dlv.status == "creating":
        return None
    found = seen.clone if seen is not None else None
    done = job.done if found is None else min(found.copied * found.region, view.dlv.size)
    reason = f"{100 * done // view.dlv.size} % is copied"
    if view.dlv.attachment is None:
        reason += f"; it goes on when it is attached where its source, dlv {view.dlv.source.name}, is"
    after = replace(job, done=done, reason=reason)
    return (job, after) if after != job else None
