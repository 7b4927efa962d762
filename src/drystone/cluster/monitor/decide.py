"""What is to be recorded next of a dlv, as functions of values: of the record, and of what agents have confirmed.

None: nothing, all is so. Each decision is made from one version of the record, and recorded for that one alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from drystone.base.errors import RefusedError
from drystone.cluster.agents.answers import VolumeSeen
from drystone.cluster.model import in_sync
from drystone.cluster.model.cloning import is_copying
from drystone.cluster.model.dlv import Dlv, DlvStatus, Leg, Snapshot
from drystone.cluster.model.in_sync import Assembly, Change
from drystone.cluster.model.job import Job, JobStatus
from drystone.cluster.model.restoring import status_held
from drystone.cluster.monitor.view import View

CALLER = "monitor"
"""Who the events of decisions are of."""
_WORKING = {("LOGGED_IN", "running")}
"""A session of iSCSI and its disk, as sysfs tells of them."""


class Decision(NamedTuple):
    """What is to be recorded.

    :ivar dlv: as it is to be, None: gone. :ivar assemblies: that may be handed out then. :ivar events: of (what, kind,
        subject, text). :ivar jobs: before and after. :ivar left: legs of a dlv that is gone, whose dpvs do not
        know yet. :ivar retired: legs that it has given up. :ivar overtakes: what hosts know that was never recorded
        here is given up. :ivar shut: the ihost that was shut out, and may have the dlv still. :ivar waits: nothing more
        can be done in this round.
    """

    dlv: Dlv | None
    assemblies: tuple[Assembly, ...] = ()
    events: tuple[tuple[str, str, str, str], ...] = ()
    jobs: tuple[tuple[Job, Job], ...] = ()
    left: tuple[Leg, ...] = ()
    retired: tuple[Leg, ...] = ()
    overtakes: bool = False
    shut: str = ""
    waits: bool = False


def become(dlv: Dlv, status: DlvStatus, reason: str = "", text: str = "") -> Decision:
    """The dlv in another status."""
    return Decision(replace(dlv, status=status, reason=reason), events=((status, "dlv", dlv.name, text or reason),))


def wait(dlv: Dlv, why: str) -> Decision | None:
    """Say why it does not go on."""
    said = explain(dlv, why)
    return said._replace(waits=True) if said is not None else None


def explain(dlv: Dlv, why: str) -> Decision | None:
    """Have `why` as its reason."""
    reason = why[:1000]
    return Decision(replace(dlv, reason=reason)) if dlv.reason != reason else None


def announce(view: View) -> Decision | None:
    """Have it recorded that agents are told of legs, before they are."""
    if not any(leg.status == "planned" for leg in view.dlv.legs):
        return None
    legs = tuple(replace(leg, status="creating") if leg.status == "planned" else leg for leg in view.dlv.legs)
    return Decision(replace(view.dlv, legs=legs))


def make_ready(view: View, confirmed: Collection[str]) -> Decision | None:
    """Legs that their dpvs say are there."""
    made = {leg.id for leg in view.dlv.legs if leg.status == "creating" and leg.dpv in confirmed}
    if not made:
        return None
    legs = tuple(replace(leg, status="ready") if leg.id in made else leg for leg in view.dlv.legs)
    return Decision(replace(view.dlv, legs=legs))


def make_anew(view: View, missing: Collection[str]) -> Decision | None:
    """Legs that were made, and that their dpvs lack: they leave their sets and are made again, where that is safe."""
    change = in_sync.remake(view.dlv, missing)
    if change.dlv is view.dlv:
        return None
    made = [leg for leg in change.dlv.legs if leg.id in missing and leg.status == "creating"]
    text = f"{_name_legs(made)} are not there any more, and are made anew"
    return _of(change, text, ("lost", "dlv", view.dlv.name, text[:1000]))


def tell_missing(view: View, missing: Collection[str]) -> str:
    """That legs are gone which nothing can be put in the place of; "" when there are none."""
    gone = [leg for leg in view.dlv.legs if leg.id in missing]
    if not gone:
        return ""
    return (
        f"{_name_legs(gone)} are not there any more, and were the last that hold every acknowledged write: "
        "put the disk back that they are on, or detach and delete the volume"
    )


def _name_legs(legs: Collection[Leg]) -> str:
    return "legs " + ", ".join(f"{leg.id} of dpv {leg.dpv}" for leg in legs)


def finish_creation(view: View, troubles: Mapping[str, str]) -> Decision | None:
    """A dlv with all its legs can be attached."""
    if all(leg.status == "ready" for leg in view.dlv.legs):
        return become(view.dlv, "detached", text="all legs are made")
    return wait(view.dlv, first_of(troubles))


def hand_over(view: View, reachable: Collection[str]) -> Decision | None:
    """Give the dlv to the ihost that it is wanted at, with the legs that were confirmed."""
    assert view.ihost is not None, "it is wanted somewhere"
    try:
        change = in_sync.attach(view.dlv, view.ihost.name, reachable)
    except RefusedError as error:
        return wait(view.dlv, error.message)
    away = {leg.id for leg in view.dlv.legs if leg.in_sync} - set(reachable)
    text = f"to ihost {view.ihost.name}" + (f", without legs {', '.join(sorted(away))}" if away else "")
    return _of(change, f"{view.ihost.name} is to put it together", ("handed", "dlv", view.dlv.name, text))


def void(view: View, why: str) -> Decision:
    """Have the ihost shut out: nobody knows what became of its last writes. Then it gets the dlv anew, if it is to."""
    assert view.ihost is not None, "attached"
    text = f"the dpvs are to shut {view.ihost.name} out: {why}"
    return become(replace(view.dlv, epoch=view.dlv.epoch + 1), "fencing", text[:1000])


def renew(view: View) -> Decision:
    """Another epoch, as the ihost knows a wish of this one that is not to be."""
    return Decision(replace(view.dlv, epoch=view.dlv.epoch + 1))


def find_unreachable(dlv: Dlv, seen: VolumeSeen | None) -> set[str]:
    """Legs in use that the ihost has no connection to."""
    used = {leg.id for leg in dlv.legs if leg.in_sync or leg.copying}
    disks = seen.disks if seen is not None else ()
    return {each.leg for each in disks if each.leg in used and (each.session, each.disk) not in _WORKING}


def tell_lost(view: View, lost: Collection[str]) -> str:
    """That the ihost cannot reach legs, in words."""
    holder = view.dlv.attachment.ihost if view.dlv.attachment else "no ihost"
    return f"{holder} cannot reach legs {', '.join(sorted(lost))}"


def give_up_legs(view: View, lost: Collection[str]) -> Decision | None:
    """Legs that the ihost cannot reach leave their sets: smaller ones are safe at any time.

    When the dlv is to be detached the ihost gets it without them first: of one that is gone it could flush nothing.
    """
    attachment = view.dlv.attachment
    assert attachment is not None, "attached"
    try:
        change = in_sync.shrink(view.dlv, attachment.ihost, view.dlv.epoch, lost)
    except RefusedError as error:
        return wait(view.dlv, error.message)
    text = tell_lost(view, lost)
    status: DlvStatus = status_held(view.dlv) if view.dlv.status == "detaching" else view.dlv.status
    return _of(change._replace(dlv=replace(change.dlv, status=status)), text, ("lost", "dlv", view.dlv.name, text))


def take_down(view: View) -> Decision:
    """The ihost has nothing of it any more."""
    attachment = view.dlv.attachment
    assert attachment is not None, "attached"
    return _free(view, in_sync.detach(view.dlv, attachment.ihost, view.dlv.epoch).dlv, f"from ihost {attachment.ihost}")


def take_by_force(view: View, shut: Collection[str]) -> Decision | None:
    """The ihost is shut out by all that matter."""
    attachment = view.dlv.attachment
    assert attachment is not None, "attached"
    try:
        after = in_sync.detach_fenced(view.dlv, shut).dlv
    except RefusedError as error:
        return wait(view.dlv, error.message)
    freed = _free(view, after, f"from ihost {attachment.ihost}, which was shut out")
    return freed._replace(shut=attachment.ihost)


def _free(view: View, after: Dlv, text: str) -> Decision:
    if after.restore is not None:
        return become(after, "restoring", "it is to be filled from the beginning", text)
    if view.dlv.wanted:
        return become(after, "attaching", f"to be attached to {view.dlv.wanted} again", text)
    return become(after, "detached", text=text)


def finish_removal(view: View, confirmed: Collection[str], troubles: Mapping[str, str]) -> Decision | None:
    """It is gone once its dpvs have nothing of it; those that are unavailable are told when they are back."""
    awaited = {name: why for name, why in troubles.items() if view.dpvs[name].status != "unavailable"}
    if awaited:
        return wait(view.dlv, first_of(awaited))
    left = tuple(leg for leg in view.dlv.legs if leg.dpv not in confirmed)
    return Decision(None, events=(("deleted", "dlv", view.dlv.name, ""),), left=left)


def improve(view: View, confirmed: Collection[str], shortage: str, homeless: Collection[str]) -> Decision | None:
    """What is next of a dlv that its ihost has as it is recorded.

    :param confirmed: names of dpvs that have so too. :param shortage: what it lacks for now, in words.
    :param homeless: legs (ids) that were to be replaced, and that no dpv has room for.
    """
    if not view.dlv.wanted:
        return become(replace(view.dlv, epoch=view.dlv.epoch + 1), "detaching", "its ihost is to take it down")
    return (
        _settle_snapshots(view)
        or _tell_snapshots(view)
        or retire_succeeded(view)
        or _begin(view, confirmed, homeless)
        or _readmit(view, confirmed)
        or _arrive(view)
        or explain(view.dlv, shortage)
    )


def _arrive(view: View) -> Decision | None:
    """It is where it is wanted."""
    status = status_held(view.dlv)
    return become(view.dlv, status, text=f"to ihost {view.dlv.wanted}") if view.dlv.status != status else None


def _settle_snapshots(view: View) -> Decision | None:
    """What the pool was told of is done: the ihost has the dlv in this epoch, with its pool's transaction."""
    dlv = view.dlv
    gone = {each.id for each in dlv.snapshots if each.status == "deleting" and _delete(each) in dlv.messages}
    made = {each.id for each in dlv.snapshots if each.status == "creating"}
    if not gone | made:
        return None
    after = tuple(
        replace(each, status="available", reason="") if each.id in made else each
        for each in dlv.snapshots
        if each.id not in gone
    )
    events = tuple(
        ("available" if each.id in made else "deleted", "snapshot", f"{dlv.name}@{each.name}", "")
        for each in dlv.snapshots
        if each.id in gone | made
    )
    return Decision(replace(dlv, snapshots=after), events=events)


def _tell_snapshots(view: View) -> Decision | None:
    """One transaction of the pool for all snapshots that are to be made or deleted."""
    dlv = view.dlv
    if dlv.source is not None:  # what is not copied yet is in no snapshot of its pool
        return None
    # Those that were asked for after a rollback are of what the volume holds then.
    end = dlv.next_thin_id if dlv.rollback is None else dlv.rollback.thin_id
    wanted = [each for each in dlv.snapshots if each.status == "planned" and each.thin_id < end]
    unwanted = [each for each in dlv.snapshots if each.status == "deleting"]
    if not wanted + unwanted:
        return None
    messages = (
        *(f"create_snap {each.thin_id} {dlv.thin_id}" for each in wanted),
        *(_delete(each) for each in unwanted),
    )
    reason = "the pool is told of it"
    snapshots = tuple(
        replace(each, status="creating", reason=reason, size=dlv.size) if each in wanted else each
        for each in dlv.snapshots
    )
    after = replace(
        dlv, snapshots=snapshots, messages=messages, transaction_id=dlv.transaction_id + 1, epoch=dlv.epoch + 1
    )
    return Decision(after)


def give_up_snapshots(view: View, why: str) -> Decision | None:
    """What the pool was told of snapshots has failed, as it refuses it; None: it was told nothing of any.

    What was made of them all the same is deleted in the same transaction: the pool may be before it or behind it.
    """
    dlv = view.dlv
    unmade = [each for each in dlv.snapshots if each.status == "creating"]
    kept = [each for each in dlv.snapshots if each.status == "deleting" and _delete(each) in dlv.messages]
    if not unmade + kept:
        return None
    failed = {each.id: replace(each, status="failed", reason=why[:1000]) for each in (*unmade, *kept)}
    snapshots = tuple(failed.get(each.id, each) for each in dlv.snapshots)
    messages = tuple(_delete(each) for each in unmade)
    events = tuple(("failed", "snapshot", f"{dlv.name}@{each.name}", why[:1000]) for each in failed.values())
    epoch = dlv.epoch + 1  # an old copy of the record knows this transaction as another one
    after = replace(dlv, snapshots=snapshots, messages=messages, epoch=epoch, set_epoch=epoch)
    return Decision(after, events=events)


def give_up_deletions(view: View) -> Decision | None:
    """A pool that refuses even to delete, as it is read-only, say, stays where it is; nothing waits for that any more.

    Only where it was told of nothing but what is left of failed snapshots: these are deleted with the snapshots' rows.
    The next transaction has the id of this one: no old copy of the record is to count past.
    """
    dlv = view.dlv
    known = {_delete(each) for each in dlv.snapshots if each.status == "failed"}
    if dlv.source is not None or not known.issuperset(dlv.messages):
        return None
    before, epoch = dlv.transaction_id - 1, dlv.epoch + 1
    return Decision(replace(dlv, messages=(), transaction_id=before, epoch=epoch, set_epoch=epoch))


def _delete(snapshot: Snapshot) -> str:
    return f"delete {snapshot.thin_id}"


def _begin(view: View, confirmed: Collection[str], homeless: Collection[str]) -> Decision | None:
    """Groups that are new and of which all legs let the ihost in. Legs whose dpv is away for long are done without when
    there is no room for others in their place.
    """
    dlv, attachment = view.dlv, view.dlv.attachment
    assert attachment is not None, "attached"
    there = {leg.id for leg in dlv.legs if leg.status == "ready" and leg.dpv in confirmed}
    given_up = {leg.id for leg in dlv.legs if leg.id in homeless and view.dpvs[leg.dpv].status == "unavailable"} - there
    waiting = {leg.group for leg in dlv.legs if leg.id not in there | given_up}
    change = in_sync.begin(dlv, attachment.ihost, dlv.epoch, there, waiting)
    if change.dlv is dlv:
        return None
    begun = dict.fromkeys(str(each.mirror.group) for each in change.assemblies)
    return _of(change, dlv.reason, ("begun", "dlv", dlv.name, f"groups {', '.join(begun)}"))


def retire_succeeded(view: View) -> Decision | None:
    """A leg whose successor has joined is given up. While the dlv is attached the ihost is to let go of it first: then
    nothing waits for a target that goes away.
    """
    dlv, attachment = view.dlv, view.dlv.attachment
    for old in in_sync.find_succeeded(dlv):
        where = f"leg {old.id} on dpv {old.dpv}"
        if attachment is not None and old.in_sync:
            change = in_sync.shrink(dlv, attachment.ihost, dlv.epoch, [old.id])
            return _of(change, dlv.reason, ("leaving", "dlv", dlv.name, f"{where} has a successor"))
        after = in_sync.retire(dlv, old.id).dlv
        return Decision(after, events=(("retired", "dlv", dlv.name, where),), retired=(old,))
    return None


def _readmit(view: View, confirmed: Collection[str]) -> Decision | None:
    """A leg that is back, or new, is copied to: one a mirror at a time."""
    dlv, attachment = view.dlv, view.dlv.attachment
    assert attachment is not None, "attached"
    busy = {leg.mirror for leg in dlv.legs if leg.copying}
    succeeded = {leg.instead_of for leg in dlv.legs if leg.in_sync}
    for leg in dlv.legs:
        if (
            leg.in_sync
            or leg.id in succeeded
            or leg.mirror in busy
            or leg.status != "ready"
            or leg.dpv not in confirmed
        ):
            continue
        change = in_sync.readmit(dlv, attachment.ihost, dlv.epoch, leg.id, noted=leg.noted)
        return _of(change, dlv.reason, ("copying", "dlv", dlv.name, f"to leg {leg.id} on dpv {leg.dpv}"))
    return None


def find_unsafe(view: View) -> list[str]:
    """Legs on dpvs that are away, in no set or blank, that no copy goes to: each is to be replaced, unless a successor
    is on its way.
    """
    blank = {group.number for group in view.dlv.groups if group.blank}
    succeeded = {leg.instead_of for leg in view.dlv.legs}
    return [
        leg.id
        for leg in view.dlv.legs
        if (leg.group in blank or not (leg.in_sync or leg.copying))
        and leg.id not in succeeded
        and view.dpvs[leg.dpv].status == "unavailable"
    ]


def advance(view: View) -> Decision | None:
    """Jobs whose work has gone on."""
    steps = [(job, found) for job in view.jobs if (found := _next_status(view, job)) is not None]
    if not steps:
        return None
    jobs = tuple((job, _step(job, status, reason)) for job, (status, reason) in steps)
    events = tuple((after.status, "job", after.id, after.reason) for _, after in jobs)
    return Decision(view.dlv, events=events, jobs=jobs)


def _step(job: Job, status: JobStatus, reason: str) -> Job:
    return replace(job, status=status, reason=reason, done=job.total if status == "finishing" else job.done)


def _next_status(view: View, job: Job) -> tuple[JobStatus, str] | None:
    if job.kind == "extend":
        legs = [leg for leg in view.dlv.legs if leg.group == job.group]
        is_used = any(group.number == job.group and not group.blank for group in view.dlv.groups)
        at_work = is_used or all(leg.status == "ready" for leg in legs)
        # Without an ihost it is in use from the next attachment on.
        is_done = is_used or (at_work and view.dlv.attachment is None)
    elif job.kind == "clone":
        snapshot = view.source_snapshot if job.status in {"creating", "processing"} else None
        if snapshot is not None and snapshot.status == "failed":
            return "failed", f"snapshot {snapshot.name} of its source failed: delete dlv {view.dlv.name}"
        legs = list(view.dlv.legs)
        at_work = not is_copying(view.dlv)
        is_done = view.dlv.source is None
    elif job.kind == "restore":
        legs = list(view.dlv.legs)
        at_work = view.dlv.restore is None
        is_done = at_work and view.dlv.attachment is None
    elif job.kind in {"failover", "move"}:
        legs = [leg for leg in view.dlv.legs if leg.id == job.leg]
        at_work = any(leg.status == "ready" and (leg.copying or leg.in_sync) for leg in legs)
        is_done = at_work and any(leg.in_sync and not leg.instead_of for leg in legs)
    else:
        return None
    if not legs:
        return "failed", "what it was for is gone"
    if job.status == "creating" and all(leg.status != "planned" for leg in legs):
        return "processing", "the dpvs are told of it"
    if job.status == "processing" and at_work:
        return "finishing", "the ihost is told of it"
    if job.status == "finishing" and is_done:
        return "finished", ""
    return None


def first_of(troubles: Mapping[str, str]) -> str:
    """One trouble of several hosts, in words."""
    return next((f"{name}: {text}" for name, text in sorted(troubles.items())), "")


def _of(change: Change, reason: str, event: tuple[str, str, str, str]) -> Decision:
    return Decision(replace(change.dlv, reason=reason[:1000]), change.assemblies, (event,))
