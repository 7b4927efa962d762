"""ACID for a group's metadata, which it does not understand: versions, each whole on all devices of the group or none.

An update is in two phases: prepared on all devices, then committed on all; what a crash leaves in between, `recover`
brings to the one or the other. Two updates cannot both win: the devices are locked while one runs, and a version is
only ever put on top of the one that its update began with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from drystone.base.clock import format_rfc3339
from drystone.base.errors import DamagedError, DrystoneError, MismatchError, NotFoundError, RefusedError, UsageError
from drystone.dvm.replication import replicate
from drystone.dvm.replication.documents import Transaction
from drystone.dvm.replication.regions import PAGE, RegionDevice
from drystone.dvm.signals import HeldSignals
from drystone.dvm.transactions.difference import Change, compare
from drystone.dvm.transactions.documents import Difference, Log, LogEntry, Outcome
from drystone.dvm.transactions.opening import find_device
from drystone.dvm.transactions.survey import Standing, Survey, is_own, require_complete, survey
from drystone.dvm.transactions.version import NOTHING, Holder, Version, build_version, parse_metadata, parse_version

Mutator = Callable[[bytes], bytes]
"""From metadata to metadata; raises a DrystoneError when it does not want to."""


def read(found: Survey, reference: str = "", *, partial: bool = False) -> tuple[Transaction, Version]:
    """The newest version, or the one that `reference` means (see `choose_version`).

    :param partial: also from a group that is not complete, as far as what is there agrees.
    :raises MismatchError, NotFoundError: the group is not complete, or holds nothing.
    """
    head = _require_head(found, partial=partial)
    if not reference:
        assert found.version is not None
        return head, found.version
    devices = _readable(found)
    wanted = choose_version(reference, replicate.history(devices))
    committed = replicate.read(devices, version=wanted.sequence)
    return committed.transaction, parse_version(committed.data)


class Along(Protocol):
    """What changes together with the metadata: see `activation`."""

    def steps(self, old: bytes, new: bytes) -> tuple[str, ...]:
        """What would be done, in words; raises when it cannot be."""

    def write(self, found: Survey, members: Sequence[Standing], version: Version, parent: Transaction) -> Transaction:
        """Put the version in place, and do it."""

    def follow(self, metadata: bytes) -> None:
        """Do what metadata that are in place already stand for."""


def update(
    found: Survey,
    mutate: Mutator,
    command: Sequence[str],
    now: datetime,
    *,
    base: str = "",
    dry_run: bool = False,
    along: Along | None = None,
) -> Outcome:
    """Put what `mutate` makes of the metadata in its place; durable on all devices when it returns.

    What comes back the same makes no new version; what goes along is done all the same, as it may have been cut short.

    :param base: the hash, or its beginning, that the metadata must have. :param dry_run: tell the changes, make none.
    :param along: what changes with the metadata.
    :raises MismatchError: the group is not complete, or has moved on from `base`.
    :raises DrystoneError: of the mutator: nothing was changed. Of a device: `recover` finishes or undoes it.
    """
    head = _require_head(found)
    assert found.version is not None
    _require_base(head, base)
    old = bytes(found.version.metadata)
    new = parse_metadata(mutate(old), "the mutator's output")
    changes = compare(msgspec.json.decode(old), msgspec.json.decode(new))
    holders = _holders(found.members)
    wanted = Version(at=format_rfc3339(now), command=tuple(command), devices=holders, metadata=new)
    steps = along.steps(old, bytes(new)) if along is not None else ()
    if not changes and along is not None and steps and not dry_run:
        along.follow(bytes(new))
    if changes and not dry_run:
        write = _write if along is None else along.write
        head = write(found, found.members, wanted, head)
    outcome = _outcome(found, wanted, head, changes, changed=bool(changes), dry_run=dry_run)
    return msgspec.structs.replace(outcome, steps=steps)


def revert(
    found: Survey,
    reference: str,
    command: Sequence[str],
    now: datetime,
    *,
    base: str = "",
    dry_run: bool = False,
    along: Along | None = None,
) -> Outcome:
    """Put the metadata of an older version in the place of the newest one, as a new version. Raises as `update`."""
    _, older = read(found, reference)
    return update(found, lambda _: bytes(older.metadata), command, now, base=base, dry_run=dry_run, along=along)


def expand(
    found: Survey,
    command: Sequence[str],
    now: datetime,
    *,
    keep: int = 8,
    first: msgspec.Raw | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Take all devices of the document into the metadata; of a group that has none, make the first version.

    :param keep: versions that stay readable, on regions that are made now. :param first: metadata of a first version.
    :param overwrite: also over regions that hold something else than an older version of the same metadata.
    :raises RefusedError: a region holds something else, or the group has metadata and `first` was given.
    :raises MismatchError: of the devices that are in, one is missing or holds something else.
    """
    begun = [each for each in found.standings if each.is_formatted and is_own(each, found.document)]
    if found.head is None or found.head.sequence == 0:
        if found.problem:
            require_complete(found)
        return _begin(found, begun, command, now, keep, first, overwrite=overwrite, dry_run=dry_run)
    if first is not None:
        raise RefusedError(f"the group {found.document.group.name!r} has metadata already: @{found.head.sequence}")
    head, version, members = _require_members(found)
    inside = {id(each) for each in members}
    new = [each for each in found.standings if id(each) not in inside]
    fresh = [each for each in new if each.hash != head.hash or each.status.state != "clean"]
    known = {hash_ for each in replicate.history(_readable(found)) for hash_ in (each.hash, each.parent)}
    others = [each for each in fresh if not (is_own(each, found.document) and each.hash in known)]
    _refuse_others(found, others, overwrite=overwrite)
    everybody = (*members, *new)
    wanted = msgspec.structs.replace(
        version, at=format_rfc3339(now), command=tuple(command), devices=_holders(everybody)
    )
    if not new:
        return _outcome(found, wanted, head, (), changed=False, dry_run=dry_run)
    if not dry_run:
        if fresh:
            replicate.add_regions([each.opened for each in members], [each.opened for each in fresh], force=True)
        head = _write(found, everybody, wanted, head)
    return _outcome(found, wanted, head, (), changed=True, dry_run=dry_run)


def reduce(
    found: Survey,
    devices: Sequence[str],
    command: Sequence[str],
    now: datetime,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Take devices out of the metadata; what they held of it is erased, after it is durable on the others.

    :param devices: paths or uuids. :param force: also when the metadata names the device's uuid somewhere.
    :raises NotFoundError: no such device. :raises RefusedError: none would be left, or the metadata names one.
    """
    head = _require_head(found)
    assert found.version is not None
    going = {find_device(found.document, each).uuid for each in devices}
    staying = [each for each in found.members if each.uuid not in going]
    gone = [each for each in found.standings if each.uuid in going]
    name = found.document.group.name
    if not staying:
        raise RefusedError(f"no device with the metadata of the group {name!r} would be left")
    text = bytes(found.version.metadata).decode()
    for uuid in sorted(going):
        if uuid in text and not force:
            raise RefusedError(
                f"the metadata still names device {uuid}",
                hint=f"take it out first: dvm transact update {name} -- dvm metadata ...; --force does not ask",
            )
    wanted = msgspec.structs.replace(
        found.version, at=format_rfc3339(now), command=tuple(command), devices=_holders(staying)
    )
    changed = len(staying) < len(found.members)
    if changed and not dry_run:
        head = _write(found, staying, wanted, head)
    if not dry_run:
        for each in gone:
            if each.is_formatted and is_own(each, found.document):
                _erase(each)
    return _outcome(found, wanted, head, (), changed=changed, dry_run=dry_run)


def recover(
    found: Survey,
    command: Sequence[str],
    now: datetime,
    *,
    mutate: Mutator | None = None,
    base: str = "",
    along: Along | None = None,
) -> Outcome:
    """Finish or undo what was cut short, then rewrite the metadata for the devices that are left.

    :param mutate: makes the metadata fit what is left; without it, it stays as it is.
    :param along: what is brought to the metadata that there are then; what it refuses is refused before these are
        rewritten, but after what was cut short is settled.
    :raises NotFoundError: no device holds metadata. :raises MismatchError: a fork, or the group moved on from `base`.
    """
    own = [each for each in found.standings if each.is_formatted and is_own(each, found.document)]
    broken = [each for each in found.standings if each.is_mendable and is_own(each, found.document)]
    name = found.document.group.name
    if not own and not broken:
        raise NotFoundError(f"no device of the group {name!r} holds metadata")
    if found.head is None:
        raise MismatchError(found.problem, hint="leave out the wrong side: --without DEVICE, for each")
    _require_base(found.head, base)
    targets = _bring_together(found, own, broken)
    after = survey(found.document, [each.seat for each in targets], [each.opened for each in targets])
    if after.head is None or after.version is None:
        raise MismatchError(after.problem or f"the group {name!r} cannot be read after its recovery")
    members = after.at_head
    old = after.version.metadata
    new = parse_metadata(mutate(bytes(old)), "the mutator's output") if mutate is not None else old
    changes = compare(msgspec.json.decode(old), msgspec.json.decode(new))
    holders = _holders(members)
    is_same = {each.uuid for each in holders} == {each.uuid for each in after.version.devices}
    wanted = Version(at=format_rfc3339(now), command=tuple(command), devices=holders, metadata=new)
    steps = along.steps(bytes(old), bytes(new)) if along is not None else ()
    head, changed = after.head, after.head != found.head
    if members and (changes or not is_same):
        write = along.write if along is not None and changes else _write
        head, changed = write(after, members, wanted, after.head), True
    if along is not None and steps and not (members and changes):
        along.follow(bytes(new))
    outcome = _outcome(after, wanted, head, changes, changed=changed, dry_run=False)
    return msgspec.structs.replace(outcome, steps=steps)


def _bring_together(found: Survey, own: Sequence[Standing], broken: Sequence[Standing]) -> list[Standing]:
    """Recover the regions that the head names, all that there are where nobody knows it; those that were recovered.

    Damaged ones are mended where that can be; where it cannot they are left out.
    """
    named = {each.uuid for each in found.version.devices} if found.version is not None else set()
    sound = [each for each in own if not named or each.uuid in named]
    both = [*sound, *(each for each in broken if not named or each.uuid in named)]
    try:
        replicate.recover([each.opened for each in both])
    except DamagedError:
        if not sound or len(sound) == len(both):
            raise
        replicate.recover([each.opened for each in sound])
        return sound
    return both


def log(found: Survey, *, partial: bool = False) -> Log:
    """The versions that can be read, newest first, with when and by what they were made."""
    _require_head(found, partial=partial)
    devices = _readable(found)
    entries = []
    for each in replicate.history(devices):
        version = parse_version(replicate.read(devices, version=each.sequence).data)
        holders = len(version.devices)
        entries.append(
            LogEntry(each.sequence, each.hash, each.parent, version.at, version.command, holders, each.length)
        )
    return Log(group=found.document.group, versions=tuple(entries))


def diff(found: Survey, old: str, new: str, *, partial: bool = False) -> Difference:
    """How two versions differ; `old` "" is the one before the newest, `new` "" the newest."""
    second, after = read(found, new, partial=partial)
    first, before = read(found, old or "@-1", partial=partial)
    changes = compare(msgspec.json.decode(before.metadata), msgspec.json.decode(after.metadata))
    return Difference(group=found.document.group, old=first, new=second, changes=changes)


def choose_version(reference: str, history: Sequence[Transaction]) -> Transaction:
    """The version that is meant: `@7` by its number, `@-1` the one before the newest, or the beginning of a hash.

    :raises UsageError: none of these forms, or a beginning that several have. :raises NotFoundError: no such version.
    """
    number = reference.removeprefix("@")
    found: list[Transaction] = []
    if reference.startswith("@") and number.removeprefix("-").isascii() and number.removeprefix("-").isdecimal():
        if number.startswith("-"):
            back = int(number[1:])
            found = list(history[back : back + 1])
        else:
            found = [each for each in history if each.sequence == int(number)]
    elif len(reference) >= 6 and all(digit in "0123456789abcdef" for digit in reference):
        found = [each for each in history if each.hash.startswith(reference)]
    else:
        raise UsageError(f"{reference!r} is no version", hint="@7, @-1, or six digits or more of a hash")
    if not found:
        there = f"@{history[-1].sequence} to @{history[0].sequence}" if history else "none"
        raise NotFoundError(f"there is no version {reference}", hint=f"there are {there}: dvm transact log")
    if len(found) > 1:
        raise UsageError(f"{reference} is the beginning of {len(found)} hashes", hint="give more of it")
    return found[0]


def _require_head(found: Survey, *, partial: bool = False) -> Transaction:
    """The head, of a group that is complete or need not be."""
    if not partial:
        require_complete(found)
    if found.head is None or found.version is None or not found.at_head:
        require_complete(found)
        raise MismatchError(f"the group {found.document.group.name!r} cannot be read")
    return found.head


def _require_members(found: Survey) -> tuple[Transaction, Version, tuple[Standing, ...]]:
    """What an expansion begins with: every device that is in must be there, and be read in one region at least.

    A region that an expansion is to make anew does not stand in its way.
    """
    if found.head is None or found.version is None:
        require_complete(found)
        raise MismatchError(f"the group {found.document.group.name!r} cannot be read")
    members = found.at_head
    there = {each.uuid for each in members}
    if any(holder.uuid not in there for holder in found.version.devices):
        require_complete(found)
    return found.head, found.version, members


def _begin(
    found: Survey,
    begun: Sequence[Standing],
    command: Sequence[str],
    now: datetime,
    keep: int,
    first: msgspec.Raw | None,
    *,
    overwrite: bool,
    dry_run: bool,
) -> Outcome:
    """The first version of a group, on all its devices; goes on where an interrupted one stopped."""
    group = UUID(found.document.group.uuid)
    ready = [each for each in begun if each.status.state == "clean"]
    ready_ids = {id(each) for each in ready}
    fresh = [each for each in found.standings if id(each) not in ready_ids]
    _refuse_others(found, [each for each in fresh if each not in begun], overwrite=overwrite)
    metadata = NOTHING if first is None else first
    holders = _holders(found.standings)
    wanted = Version(at=format_rfc3339(now), command=tuple(command), devices=holders, metadata=metadata)
    changes = compare(None, msgspec.json.decode(metadata))
    if dry_run:
        nothing = Transaction(0, "0" * 64, "0" * 64, 0, found.document.group.uuid)
        return _outcome(found, wanted, nothing, changes, changed=True, dry_run=True)
    head = None
    if ready:
        head = ready[0].status.committed
        if fresh:
            replicate.add_regions([each.opened for each in ready], [each.opened for each in fresh], force=True)
    else:
        head = replicate.format_regions([each.opened for each in fresh], group=group, keep=keep, force=True)
    assert head is not None
    after = _write(found, found.standings, wanted, head)
    return _outcome(found, wanted, after, changes, changed=True, dry_run=False)


def _refuse_others(found: Survey, fresh: Sequence[Standing], *, overwrite: bool) -> None:
    """:raises RefusedError: a region that is to be made holds something that may be missed."""
    for each in fresh:
        status, name = each.status, each.seat.region.name
        if status.state == "unreadable":
            raise MismatchError(f"{name} cannot be read: {status.problem}", hint="leave it out: --without DEVICE")
        if status.state == "unformatted" or overwrite:
            continue
        text = status.problem or f"metadata @{status.committed.sequence if status.committed is not None else '?'}"
        if not is_own(each, found.document) and status.committed is not None:
            text = f"metadata of another group, {status.committed.group}"
        raise RefusedError(f"{name} holds something already: {text}", hint="--overwrite makes it anew")


def _write(found: Survey, members: Sequence[Standing], version: Version, parent: Transaction) -> Transaction:
    """Both phases, which Ctrl-C does not part. Durable on all members when it returns."""
    devices = [each.opened for each in members]
    try:
        with HeldSignals().held():
            replicate.prepare(devices, build_version(version), parent=parent.hash)
            return replicate.commit(devices)
    except DrystoneError as error:
        name = found.document.group.name
        error.hint = error.hint or f"dvm transact verify {name} tells what is there, recover finishes or undoes it"
        raise


def _erase(standing: Standing) -> None:
    """Make a region one that holds nothing; durable when it returns."""
    standing.opened.write(0, bytes(PAGE))
    standing.opened.flush()


def _outcome(
    found: Survey,
    wanted: Version,
    head: Transaction,
    changes: tuple[Change, ...],
    *,
    changed: bool,
    dry_run: bool,
) -> Outcome:
    return Outcome(
        group=found.document.group,
        command=wanted.command,
        transaction=head,
        changed=changed,
        dry_run=dry_run,
        devices=wanted.devices,
        changes=changes,
    )


def _readable(found: Survey) -> list[RegionDevice]:
    return [each.opened for each in found.at_head]


def _holders(standings: Sequence[Standing]) -> tuple[Holder, ...]:
    """The devices of these regions, each once, in order."""
    return tuple({each.uuid: Holder(each.uuid, each.seat.device.path) for each in standings}.values())


def _require_base(head: Transaction, base: str) -> None:
    if base and not (len(base) >= 6 and head.hash.startswith(base)):
        raise MismatchError(
            f"the metadata has moved on: it is at @{head.sequence} ({head.hash[:12]}), not at {base[:12]}",
            hint="look at it again: dvm transact log, diff",
            hash=head.hash,
        )
