"""Which legs hold every acknowledged write: the in-sync set of each mirror, under the dlv's epoch, and how it changes.

A change is a function from the recorded dlv to the one that is to be recorded, with an epoch higher by one; who commits
it compares the epoch that it was made from (compare-and-set), so that of two changes one is made anew. A set is changed
in the record first and in the kernel second. What holds at every moment, and why:

* A set is never empty, and a leg is in it only while it holds all that was acknowledged. It leaves before the ihost
  completes a write without it (dm-mirror with `handle_errors` completes none until its table is swapped), and comes
  back only when the kernel that wrote says that all regions are copied.
* dm-mirror writes a region that is not in sync to its first leg alone. So every mirror whose log does not begin clean
  has one source, and the legs being copied to are outside of the set. After an unclean stop that is every mirror: its
  legs may differ in what was not acknowledged, one of them becomes the truth, and the others are copied from it.
* For the same reason a table with several sources never goes on with a log: what is unclean on it, as writes were in
  flight or a leg refused them, would be written to the first leg alone. It begins a clean one. The sources are alike:
  what was not completed when the old table was suspended (without a flush) is written anew through the new one.
* `nosync`, which declares legs alike without a copy, is for blank mirrors. That a mirror is not blank any more is
  recorded before the table that says `nosync` is handed out, once: after a crash in between it is copied in full.

Facts: Linux 6.1 `drivers/md/dm-raid1.c` (do_writes, do_failures, choose_mirror), `dm-log.c`; what was tried of them is
in docs/explanation/cluster.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import BusyError, MismatchError, RefusedError, UsageError
from drystone.cluster.model.dlv import Attachment, Dlv, Group, Leg, MirrorKey

Bits = Literal["nosync", "clean", "dirty", "kept"]
"""How the log of a mirror begins. `nosync`: the kernel marks all clean. `clean`, `dirty`: the agent writes it so before
the table is loaded. `kept`: as it is: it is of this attachment, and knows all that the leg missed which comes back."""


FIRST_GROUPS = 2
"""Groups that every dlv has: one of metadata, one of data."""


class Assembly(Struct, frozen=True):
    """How a mirror is put together. :ivar sources: the in-sync legs, :ivar targets: those that are copied to.

    :ivar bits: of the log; where several sources have targets, of the log that says what is copied. That of the sources
        themselves begins clean then.
    """

    mirror: MirrorKey
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    bits: Bits


class Change(NamedTuple):
    """What is to be recorded, and the assemblies that may be handed out once it is."""

    dlv: Dlv
    assemblies: tuple[Assembly, ...] = ()


def attach(dlv: Dlv, ihost: str, reachable: Collection[str]) -> Change:
    """Give the dlv to `ihost`, with the legs that can be reached. Blank groups come into use with it; but those that
    were added, and of which no leg can be reached, wait for `begin`.

    :param reachable: ids of legs whose dpv has let `ihost`, and nobody else, in.
    :raises BusyError: it is attached. :raises RefusedError: of a mirror no leg that is in sync can be reached.
    """
    if dlv.attachment is not None:
        raise BusyError(f"dlv {dlv.name} is attached to {dlv.attachment.ihost}")
    usable = {group.number for group in _usable(dlv, reachable)}
    used = {group.number for group in dlv.groups if not group.blank or group.number < FIRST_GROUPS} | usable
    assemblies = _assemble_all(dlv, used, reachable)
    copying = {leg for each in assemblies for leg in each.targets}
    after = _use(dlv, used, assemblies, copying, set())
    given = Attachment(ihost=ihost, epoch=after.epoch)
    return Change(replace(after, attachment=given, clean=False, set_epoch=after.epoch), assemblies)


def _usable(dlv: Dlv, reachable: Collection[str], held: Collection[int] = ()) -> list[Group]:
    """The blank groups that can come into use. Those of a role do so in their order, as they follow one another below
    the pool. :param held: numbers of some that are not to yet.
    """
    found, stuck = [], set[str]()
    for group in (each for each in dlv.groups if each.blank):
        legs = [dlv.legs_of(key) for key in group.mirrors]
        there = all(any(leg.in_sync and leg.id in reachable for leg in each) for each in legs)
        if group.number in held or not there:
            stuck.add(group.role)
        elif group.role not in stuck:
            found.append(group)
    return found


def _assemble_all(dlv: Dlv, groups: Collection[int], reachable: Collection[str]) -> tuple[Assembly, ...]:
    return tuple(
        _assemble(dlv, group, key, reachable) for group in dlv.groups for key in group.mirrors if group.number in groups
    )


def _use(
    dlv: Dlv, used: Collection[int], assemblies: Collection[Assembly], copying: Collection[str], noted: Collection[str]
) -> Dlv:
    """With groups in use as they were put together; legs of others are as they were."""
    sources = {leg for each in assemblies for leg in each.sources}
    targets = {leg for each in assemblies for leg in each.targets}
    away = {leg.id for leg in dlv.legs if leg.group in used} - sources - targets
    kept = {leg for leg in _set_of(dlv) if leg not in away | targets}
    # The log of a single source covers whoever is away; of those that are copied to it begins dirty.
    missed = {leg.id for leg in dlv.legs if leg.id in away and _notes_absence(dlv, leg.mirror)}
    groups = tuple(replace(group, blank=group.blank and group.number not in used) for group in dlv.groups)
    after = _with_set(dlv, kept, copying, {*noted, *missed})
    return replace(after, groups=groups, set_epoch=after.set_epoch if groups == dlv.groups else after.epoch)


def _assemble(dlv: Dlv, group: Group, key: MirrorKey, reachable: Collection[str]) -> Assembly:
    here = [leg for leg in dlv.legs_of(key) if leg.id in reachable]
    sources = tuple(leg.id for leg in here if leg.in_sync)
    if not sources:
        raise RefusedError(
            f"mirror {key} of dlv {dlv.name}: none of the legs that hold every acknowledged write can be reached",
            hint="bring one of their dpvs back; any other leg would show old data",
            legs=[leg.id for leg in dlv.legs_of(key) if leg.in_sync],
        )
    if not dlv.clean and not group.blank:
        sources = sources[:1]
    targets = tuple(leg.id for leg in here if leg.id not in sources)
    if targets:
        return Assembly(key, sources, targets, "dirty")
    if group.blank:
        return Assembly(key, sources, (), "nosync")
    # With one source the log notes what the absent legs miss from now on: of those that missed something before, all.
    known = dlv.clean and all(leg.in_sync for leg in dlv.legs_of(key))
    return Assembly(key, sources, (), "clean" if known or len(sources) > 1 else "dirty")


def shrink(dlv: Dlv, ihost: str, epoch: int, lost: Collection[str]) -> Change:
    """Take `lost` legs out of their mirrors, before a write completes without them; the tables for that.

    A copy that is under way in such a mirror ends: whoever was copied to is to be readmitted. But where a source was
    lost it goes on, also to legs among `lost`, which are to be told again once the sources' own table is swapped: the
    one above cannot be suspended before.

    The epoch grows also when none of them is in a set: who said that a copy to one of them was done says so of an
    epoch that is past.

    :raises MismatchError: the dlv is not `ihost`'s, or in another epoch. :raises UsageError: a leg is not the dlv's.
    :raises RefusedError: a set would be empty: its writes stay held until a leg comes back; fact `legs`: the set.
    """
    check_holder(dlv, ihost, epoch)
    _check_legs(dlv, lost)
    left = {leg.id for leg in dlv.legs if leg.in_sync and leg.id not in lost}
    assemblies = []
    for key in sorted({leg.mirror for leg in dlv.legs if leg.id in lost}):
        legs = dlv.legs_of(key)
        sources = tuple(leg.id for leg in legs if leg.id in left)
        if not sources:
            raise RefusedError(
                f"mirror {key} of dlv {dlv.name} would have no leg that holds every acknowledged write",
                hint="its writes stay held until one of its legs comes back",
                legs=[leg.id for leg in legs if leg.in_sync],
            )
        targets = tuple(leg.id for leg in legs if leg.copying)
        if targets and any(leg.in_sync and leg.id in lost for leg in legs):
            assemblies.append(Assembly(key, sources, targets, "kept"))
        elif len(sources) > 1:
            assemblies.append(Assembly(key, sources, (), "clean"))
        else:
            # The log of a copy that ends is another one where a mirror is deep: it begins anew.
            nested = targets and dlv.is_deep(key)
            assemblies.append(Assembly(key, sources, (), "dirty" if nested else "kept"))
    changed = {each.mirror for each in assemblies if not each.targets}
    copying = {leg.id for leg in dlv.legs if leg.copying and leg.mirror not in changed}
    missed = {leg.id for leg in dlv.legs if leg.in_sync and leg.id in lost and _notes_absence(dlv, leg.mirror)}
    return Change(_with_set(dlv, left, copying, _noted_of(dlv) | missed), tuple(assemblies))


def readmit(dlv: Dlv, ihost: str, epoch: int, leg: str, *, noted: bool) -> Change:
    """Copy to a leg that is in no set, so that it may join: the table for that. One at a time in a mirror.

    :param noted: the log of the mirror noted all that the leg missed, see `Leg.noted`. Of three legs no log does.
    :raises MismatchError: the dlv is not `ihost`'s, or in another epoch. :raises UsageError: it is not the dlv's leg.
    :raises BusyError: another leg of the mirror is copied to.
    """
    check_holder(dlv, ihost, epoch)
    _check_legs(dlv, [leg])
    found = next(each for each in dlv.legs if each.id == leg)
    sources = tuple(each.id for each in dlv.legs_of(found.mirror) if each.in_sync)
    if found.in_sync:
        return Change(dlv)
    if any(each.copying for each in dlv.legs_of(found.mirror)):
        raise BusyError(f"mirror {found.mirror} of dlv {dlv.name} is copying", hint="wait until that has ended")
    bits: Bits = "kept" if noted and _notes_absence(dlv, found.mirror) else "dirty"
    known = _noted_of(dlv) - {leg} | ({leg} if bits == "kept" else set())
    after = _with_set(dlv, _set_of(dlv), {*_copying_of(dlv), leg}, known)
    return Change(after, (Assembly(found.mirror, sources, (leg,), bits),))


def grow(dlv: Dlv, ihost: str, epoch: int, copied: Collection[str]) -> Change:
    """Take `copied` legs into their sets: the kernel that writes says that all their regions are in sync.

    The epoch is that of the table which that was seen of: a leg that was lost since is in no table of this epoch.

    :raises MismatchError: the dlv is not `ihost`'s, in another epoch, or does not copy to them.
    :raises UsageError: a leg is not the dlv's.
    """
    check_holder(dlv, ihost, epoch)
    _check_legs(dlv, copied)
    if _set_of(dlv).issuperset(copied):
        return Change(dlv)
    if not _copying_of(dlv).union(_set_of(dlv)).issuperset(copied):
        raise MismatchError(f"dlv {dlv.name} copies to other legs than {', '.join(sorted(copied))}")
    return Change(_with_set(dlv, _set_of(dlv).union(copied), _copying_of(dlv).difference(copied), _noted_of(dlv)))


def detach(dlv: Dlv, ihost: str, epoch: int) -> Change:
    """Take the dlv from `ihost`, which has removed its devices and flushed what they held.

    :raises MismatchError: the dlv is not `ihost`'s, or in another epoch.
    """
    check_holder(dlv, ihost, epoch)
    return Change(replace(_with_set(dlv, _set_of(dlv)), attachment=None, clean=True))


def detach_fenced(dlv: Dlv, shut: Collection[str]) -> Change:
    """Take the dlv from an ihost that does not answer; its legs are out of step by what was not acknowledged.

    A leg whose dpv cannot be reached leaves its set: the old ihost may still write there, and completes nothing. Of
    blank groups it has no table, so that their legs stay in their sets. An old copy of the record is not to count past
    this, also where no leg has left: it would have the ihost put legs together as alike that are not.

    :param shut: legs whose dpv has confirmed that the ihost is let in no more (its ACL is gone).
    :raises UsageError: it is not attached. :raises RefusedError: of a mirror in use no leg in sync is shut.
    """
    if dlv.attachment is None:
        raise UsageError(f"dlv {dlv.name} is not attached")
    blank = {group.number for group in dlv.groups if group.blank}
    left = {leg.id for leg in dlv.legs if leg.in_sync and (leg.id in shut or leg.group in blank)}
    for group in dlv.groups:
        for key in group.mirrors:
            if not any(leg.id in left for leg in dlv.legs_of(key)):
                raise RefusedError(
                    f"mirror {key} of dlv {dlv.name}: {dlv.attachment.ihost} may still be writing to all its legs",
                    hint="bring one of its dpvs back, so that it shuts the ihost out",
                )
    after = _with_set(dlv, left)
    return Change(replace(after, attachment=None, clean=False, set_epoch=after.epoch))


def standing(dlv: Dlv, absent: Collection[MirrorKey] = ()) -> tuple[Assembly, ...]:
    """How the mirrors of an attached dlv are put together, as recorded; blank groups are in no use.

    It may be told again and again, to the ihost that had the dlv in this attachment and boot: how a log begins counts
    where the mirror does not stand so yet. Whoever recorded a change may have ended before anybody was told of it: a
    log is gone on with only where that covers all that a target lacks.

    :param absent: mirrors of which the ihost has no device, so that no log of them was ever in use: it begins anew.
    """
    found = []
    for group in dlv.groups:
        for key in () if group.blank else group.mirrors:
            legs = dlv.legs_of(key)
            sources = tuple(leg.id for leg in legs if leg.in_sync)
            targets = tuple(leg.id for leg in legs if leg.copying)
            bits: Bits = "clean" if not targets and len(sources) > 1 else "kept"
            if bits == "kept" and (key in absent or any(leg.copying and not leg.noted for leg in legs)):
                bits = "dirty"
            found.append(Assembly(key, sources, targets, bits))
    return tuple(found)


def extend(dlv: Dlv, group: Group, legs: Collection[Leg]) -> Change:
    """One more group, blank. :raises UsageError: its number is not the next one."""
    if group.number != len(dlv.groups) or any(leg.group != group.number for leg in legs):
        raise UsageError(f"the next group of dlv {dlv.name} is {len(dlv.groups)}")
    return Change(replace(dlv, groups=(*dlv.groups, group), legs=(*dlv.legs, *legs), epoch=dlv.epoch + 1))


def withdraw(dlv: Dlv, group: int) -> Change:
    """Without its last group, which is blank.

    :raises RefusedError: it is not the last one, or was in use.
    """
    last = dlv.groups[-1]
    if group != last.number or group < FIRST_GROUPS or not last.blank:
        raise RefusedError(f"group {group} of dlv {dlv.name} is in use, or not its last one")
    legs = tuple(leg for leg in dlv.legs if leg.group != group)
    return Change(replace(dlv, groups=dlv.groups[:-1], legs=legs, epoch=dlv.epoch + 1))


def begin(dlv: Dlv, ihost: str, epoch: int, reachable: Collection[str], held: Collection[int] = ()) -> Change:
    """Take blank groups into use while the dlv is attached; the tables for that, which may be handed out once.

    :param reachable: ids of legs that let the ihost in; others leave their sets. Groups without them wait.
    :param held: numbers of groups that are to wait too; and so do those after them, of their role.
    :raises MismatchError: the dlv is not `ihost`'s, or in another epoch.
    """
    check_holder(dlv, ihost, epoch)
    used = {group.number for group in _usable(dlv, reachable, held)}
    if not used:
        return Change(dlv)
    assemblies = _assemble_all(dlv, used, reachable)
    return Change(_use(dlv, used, assemblies, _copying_of(dlv), _noted_of(dlv)), assemblies)


def exchange(dlv: Dlv, old: str, new: Leg) -> Change:
    """Put a blank leg in the place of one that is in no set; it is copied to until it joins. In a blank group it is in
    its set, as the old one was.

    :raises RefusedError: the old one is in sync, and may have been written to.
    :raises UsageError: it is not the dlv's, or `new` is another's place.
    """
    _check_legs(dlv, [old])
    leg = next(leg for leg in dlv.legs if leg.id == old)
    is_blank = any(group.blank for group in dlv.groups if group.number == leg.group)
    if leg.in_sync and not is_blank:
        raise RefusedError(f"leg {old} of dlv {dlv.name} holds every acknowledged write", hint="shrink its set first")
    if (new.mirror, new.place, new.extents) != (leg.mirror, leg.place, leg.extents):
        raise UsageError(f"leg {new.id} is not of the place and length of leg {old}")
    if any(each.instead_of == old for each in dlv.legs):
        raise RefusedError(f"another leg of dlv {dlv.name} takes the place of leg {old}", hint="wait until it has")
    after = replace(new, in_sync=is_blank, instead_of=leg.instead_of)
    legs = tuple(after if each.id == old else each for each in dlv.legs)
    return Change(replace(dlv, legs=legs, epoch=dlv.epoch + 1))


def add_successor(dlv: Dlv, new: Leg) -> Change:
    """One leg more in a mirror, blank and in no set; `retire` gives up `new.instead_of` once it has joined. There is
    never a copy less than the volume is to have.

    :raises UsageError: `new.instead_of` is no leg of its mirror, or its place is taken.
    :raises RefusedError: the mirror is not whole, or a leg of it is on its way already.
    """
    legs = dlv.legs_of(new.mirror)
    if new.instead_of not in {leg.id for leg in legs} or new.place in {leg.place for leg in legs}:
        raise UsageError(f"leg {new.id} cannot be added to mirror {new.mirror} of dlv {dlv.name}")
    if not all(leg.in_sync for leg in legs):
        raise RefusedError(f"mirror {new.mirror} of dlv {dlv.name} is not whole", hint="wait until it is copied")
    if any(leg.instead_of for leg in legs):
        raise RefusedError(
            f"a leg of mirror {new.mirror} of dlv {dlv.name} is on its way", hint="wait until it is there"
        )
    added = replace(new, in_sync=False)
    return Change(replace(dlv, legs=(*dlv.legs, added), epoch=dlv.epoch + 1))


def find_succeeded(dlv: Dlv) -> list[Leg]:
    """Legs that can be given up: their successors have joined, and as many copies are left as the volume is to have."""
    found = []
    for new in dlv.legs:
        if not new.instead_of or not new.in_sync:
            continue
        legs = dlv.legs_of(new.mirror)
        old = next((leg for leg in legs if leg.id == new.instead_of), None)
        if old is None or any(leg.copying for leg in legs):
            continue
        left = [leg for leg in legs if leg.in_sync and leg is not old]
        if len(left) >= dlv.mirrors or not old.in_sync:
            found.append(old)
    return found


def retire(dlv: Dlv, old: str) -> Change:
    """Without a leg of `find_succeeded`. While the dlv is attached it has left its set before: the ihost has let go of
    it then, and misses nothing when the dpv gives it up.

    :raises RefusedError: it is none of those, or is in its set still.
    """
    leg = next((leg for leg in find_succeeded(dlv) if leg.id == old), None)
    if leg is None or (dlv.attachment is not None and leg.in_sync):
        raise RefusedError(f"leg {old[:100]} of dlv {dlv.name} is needed still")
    legs = tuple(
        replace(each, instead_of="") if each.instead_of == old else each for each in dlv.legs if each.id != old
    )
    epoch = dlv.epoch + 1
    return Change(replace(dlv, legs=legs, epoch=epoch, set_epoch=epoch if leg.in_sync else dlv.set_epoch))


def remake(dlv: Dlv, gone: Collection[str]) -> Change:
    """Have legs made anew that their dpvs have no more, as a disk was replaced: they are out of their sets, and are
    copied to in full. Those of blank groups are in their sets still: all legs of these are alike.

    A mirror that would have no leg in its set is left as it is: what was written to it is nowhere else, and no empty
    leg is taken for it.

    :raises UsageError: a leg is not the dlv's.
    """
    _check_legs(dlv, gone)
    blank = {group.number for group in dlv.groups if group.blank}
    safe = {leg.mirror for leg in dlv.legs if leg.group in blank or (leg.in_sync and leg.id not in gone)}
    made = {leg.id for leg in dlv.legs if leg.id in gone and leg.mirror in safe}
    if not made:
        return Change(dlv)
    lost = {leg.id for leg in dlv.legs if leg.id in made and leg.group not in blank}
    if dlv.attachment is None:
        change = Change(_with_set(dlv, _set_of(dlv) - lost))
    else:
        change = shrink(dlv, dlv.attachment.ihost, dlv.epoch, lost)
    # What is copied to still, as a source was lost, is told of once that is not so any more.
    legs = tuple(
        replace(leg, status="creating", noted=False) if leg.id in made and not leg.copying else leg
        for leg in change.dlv.legs
    )
    return change._replace(dlv=replace(change.dlv, legs=legs))


def overtake(dlv: Dlv, epoch: int, given_up: Collection[str], *, was_written: bool = False) -> Change:
    """Count on after an epoch that was never recorded here, as the record is an old copy, and some hosts know a newer
    one. An operator has given up what was written to legs of such dpvs since: these leave their sets, and are copied to
    in full, as no log knows what they have. That their groups are blank is not so any more either.

    :param was_written: an ihost is one of these hosts: it may have written to all legs, also of groups that the record
        calls blank. They are alike no more.
    :raises RefusedError: a set would be empty.
    """
    left = _set_of(dlv) - set(given_up)
    for key in sorted({leg.mirror for leg in dlv.legs if leg.id in given_up}):
        if not any(leg.id in left for leg in dlv.legs_of(key)):
            raise RefusedError(f"mirror {key} of dlv {dlv.name} has no other leg", hint="bring the newest record back")
    after = _with_set(dlv, left, _copying_of(dlv) - set(given_up), _noted_of(dlv) - set(given_up))
    used = {leg.group for leg in dlv.legs if leg.id in given_up}
    if was_written:
        used |= {group.number for group in _usable(dlv, {leg.id for leg in dlv.legs if leg.status == "ready"})}
    groups = tuple(replace(group, blank=group.blank and group.number not in used) for group in dlv.groups)
    is_clean = dlv.clean and not was_written
    newest = max(epoch, dlv.epoch) + 1
    return Change(replace(after, groups=groups, clean=is_clean, epoch=newest, set_epoch=newest))


def check_holder(dlv: Dlv, ihost: str, epoch: int) -> None:
    """:raises MismatchError: the dlv is not attached to `ihost`, or is in another epoch than that."""
    holder = "" if dlv.attachment is None else dlv.attachment.ihost
    if holder != ihost or dlv.epoch != epoch:
        raise MismatchError(
            f"dlv {dlv.name} is in epoch {dlv.epoch} with {holder or 'no ihost'}, not in {epoch} with {ihost}",
            hint="read it anew and decide again",
            epoch=dlv.epoch,
            ihost=holder,
        )


def _notes_absence(dlv: Dlv, mirror: MirrorKey) -> bool:
    """Whether the log of a mirror notes what an absent leg misses. One copy has no log; of three legs no log does."""
    return dlv.mirrors > 1 and not dlv.is_deep(mirror)


def _check_legs(dlv: Dlv, legs: Iterable[str]) -> None:
    known = {leg.id for leg in dlv.legs}
    for leg in legs:
        if leg not in known:
            raise UsageError(f"{leg!r} is no leg of dlv {dlv.name}")


def _set_of(dlv: Dlv) -> set[str]:
    return {leg.id for leg in dlv.legs if leg.in_sync}


def _copying_of(dlv: Dlv) -> set[str]:
    return {leg.id for leg in dlv.legs if leg.copying}


def _noted_of(dlv: Dlv) -> set[str]:
    return {leg.id for leg in dlv.legs if leg.noted}


def _with_set(dlv: Dlv, in_sync: Collection[str], copying: Collection[str] = (), noted: Collection[str] = ()) -> Dlv:
    """With these legs in their sets, those copied to, those that the logs know all about, and the next epoch."""
    legs = tuple(
        replace(
            leg,
            in_sync=leg.id in in_sync,
            copying=leg.id in copying,
            noted=leg.id in noted and leg.id not in in_sync,
        )
        for leg in dlv.legs
    )
    epoch, is_left = dlv.epoch + 1, any(leg.in_sync and leg.id not in in_sync for leg in dlv.legs)
    return replace(dlv, legs=legs, epoch=epoch, set_epoch=epoch if is_left else dlv.set_epoch)
