"""What is done about a record that is an old copy: a dpv or an ihost knows an epoch that was never recorded here, or
something else of the record's own epoch. It is remembered, and held to, until an operator has given that up.

A dpv's newer writes are given up by stopping its agent. An ihost's by taking the dlv from it by force, or, where the
record does not say that it has it, by stopping its agent: whoever is let in to the legs is not known then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from drystone.base.errors import DrystoneError, MismatchError, RefusedError
from drystone.cluster.agents.answers import VolumeSeen
from drystone.cluster.model import in_sync
from drystone.cluster.model.calls import LegsWish, VolumeWish
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.monitor.decide import Decision, wait
from drystone.cluster.monitor.view import View
from drystone.cluster.state import ahead, rows
from drystone.cluster.state.database import Work


def tell_dpv(view: View, epoch: object) -> str:
    """That a dpv knows something newer than the record, or something else of its epoch, and what to do about it."""
    return (
        f"{_tell_epoch(view, epoch)}; bring the newest one back, or stop that agent, and what was written to its legs "
        "since is given up"
    )


def tell_ihost(view: View, ihost: str, epoch: object) -> str:
    """Likewise of an ihost."""
    way = "say that it is unavailable and detach it by force" if _has(view, ihost) else "stop that agent"
    return (
        f"{ihost}: {_tell_epoch(view, epoch)}; bring the newest one back, or {way}, and what it has written since is "
        "given up"
    )


def _tell_epoch(view: View, epoch: object) -> str:
    return f"dlv {view.dlv.id} is in epoch {epoch} there, which is not in this database: it is an old copy then"


def _has(view: View, ihost: str) -> bool:
    return view.dlv.attachment is not None and view.dlv.attachment.ihost == ihost


def hold(view: View, is_silent: Callable[[str], bool], is_patient: Callable[[], bool]) -> Decision | None:
    """Leave all as it is while an ihost knows more than the record. None: none does, or the dlv is being taken from it,
    by force: `overtake` is for later then.

    :param is_silent: whether an ihost does not answer. :param is_patient: whether that is to be waited for.
    """
    left = [name for name in view.ahead_ihosts if not (view.dlv.status == "fencing" and _has(view, name))]
    if not left:
        return None
    if any(_has(view, name) or not is_silent(name) for name in left) or is_patient():
        why = tell_ihost(view, left[0], view.ahead_ihosts[left[0]])
        return wait(view.dlv, why) or Decision(view.dlv, waits=True)
    return overtake(view)


def overtake(view: View) -> Decision | None:
    """Go on without what hosts know more than the record, as an operator has given it up. None: there are none, or
    nothing would be left.
    """
    if not view.ahead and not view.ahead_ihosts:
        return None
    epoch = max((*view.ahead.values(), *view.ahead_ihosts.values()))
    try:
        change = in_sync.overtake(view.dlv, epoch, view.legs_on(view.ahead), was_written=bool(view.ahead_ihosts))
    except RefusedError as error:
        return wait(view.dlv, error.message) or Decision(view.dlv, waits=True)
    names = [f"{kind} {name}" for kind, found in _hosts(view) for name in sorted(found)]
    text = f"what {', '.join(names)} know of epochs up to {epoch} is given up"
    event = ("lost", "dlv", view.dlv.name, text)
    return Decision(replace(change.dlv, reason=view.dlv.reason), events=(event,), overtakes=True)


def _hosts(view: View) -> tuple[tuple[Literal["dpv", "ihost"], tuple[str, ...]], ...]:
    return ("dpv", tuple(view.ahead)), ("ihost", tuple(view.ahead_ihosts))


def find_ahead(error: DrystoneError, wish: LegsWish | VolumeWish) -> int | None:
    """The epoch that a host knows which refuses a wish, as it knows another record; None: it is not that.

    It may be a smaller one than the wish has: requests have the record count on, and the sets are old all the same.
    """
    known, sets = error.facts.get("epoch"), error.facts.get("set_epoch")
    if not isinstance(error, MismatchError) or not isinstance(known, int):
        return None
    return known if known >= wish.epoch or (isinstance(sets, int) and sets > wish.set_epoch) else None


def is_newer(seen: VolumeSeen, dlv: Dlv) -> bool:
    """Whether an ihost knows more of a dlv than a record of it."""
    return seen.epoch > dlv.epoch or seen.set_epoch > dlv.set_epoch


def note_dpv(work: Work, dlv: Dlv, dpv: str, epoch: int) -> None:
    """Also where it is the epoch of the record itself, of something else. Unless the record went on meanwhile: then the
    dpv was told by another monitor.
    """
    if _is_unrecorded(work, dlv, epoch):
        ahead.note(work.connection, dlv.id, dpv, epoch)


def note_ihost(work: Work, dlv: Dlv, ihost: str, epoch: int) -> bool:
    """Likewise of an ihost, which may have been told by the API too. Whether it is noted."""
    is_ahead = _is_unrecorded(work, dlv, epoch)
    if is_ahead:
        ahead.note_ihost(work.connection, dlv.id, ihost, epoch)
    return is_ahead


def _is_unrecorded(work: Work, dlv: Dlv, epoch: int) -> bool:
    newest = rows.find_dlvs(work.connection, [dlv.name])
    return any(each.id == dlv.id and (each.epoch < epoch or each.epoch == dlv.epoch) for each in newest)
