"""What the regions of a group hold together, and what is wrong with that: the eyes of `transact`.

The *head* is the committed transaction that counts, see `find_head`. Its envelope says which devices belong
to the group's metadata; a group is complete when all regions of just those devices are at the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import DrystoneError, MismatchError, NotFoundError
from drystone.dvm.discovery.devices import Devices, GroupDevice, GroupReference
from drystone.dvm.replication import replicate
from drystone.dvm.replication.documents import RegionStatus, Transaction
from drystone.dvm.replication.regions import Region, RegionDevice
from drystone.dvm.transactions.version import Holder, Version, parse_version


class Seat(Struct, frozen=True):
    """A region of a device of the group."""

    device: GroupDevice
    region: Region


class Standing(Struct, frozen=True):
    """A seat, its open region, and what that holds."""

    seat: Seat
    opened: RegionDevice
    status: RegionStatus

    @property
    def uuid(self) -> str:
        """Of the device."""
        return self.seat.device.uuid

    @property
    def is_formatted(self) -> bool:
        """Whether it holds metadata that can be read."""
        return self.status.state in ("clean", "prepared") and self.status.committed is not None

    @property
    def is_mendable(self) -> bool:
        """Whether it is damaged, and yet says where it stands: a recovery may mend it."""
        return self.status.state == "damaged" and self.status.committed is not None

    @property
    def hash(self) -> str:
        """Of its committed transaction; "" when it has none."""
        return self.status.committed.hash if self.status.committed is not None else ""


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is not as it should be. :ivar advice: what to do about it. :ivar uuid, path: of the device."""

    code: str
    message: str
    advice: str = ""
    uuid: str = ""
    path: str = ""


class SeatReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A region in the report. `begin`, `end`: pages. `sequence`, `hash`: of what is committed there."""

    uuid: str
    path: str
    begin: int
    end: int
    state: str
    sequence: int = 0
    hash: str = ""


class Verification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `verify` prints. :ivar head: the transaction that counts; null when there is none, or a fork."""

    schema: Literal["drystone.dvm.verification"] = "drystone.dvm.verification"
    version: Literal[1] = 1
    group: GroupReference
    complete: bool
    head: Transaction | None = None
    at: str = ""
    devices: tuple[Holder, ...] = ()
    findings: tuple[Finding, ...] = ()
    regions: tuple[SeatReport, ...] = ()


class Survey(Struct, frozen=True):
    """All that `transact` decides by.

    :ivar head: None when nothing is formatted, or on a fork.
    :ivar version: the head's envelope; None when no clean region holds the head.
    :ivar problem: why there is no head although there is metadata; "" otherwise.
    """

    document: Devices
    standings: tuple[Standing, ...]
    head: Transaction | None
    version: Version | None
    problem: str = ""

    @property
    def members(self) -> tuple[Standing, ...]:
        """The regions of the devices that the head names."""
        named = {each.uuid for each in self.version.devices} if self.version is not None else set()
        return tuple(each for each in self.standings if each.uuid in named)

    @property
    def at_head(self) -> tuple[Standing, ...]:
        """The members that are clean and at the head: what can be read."""
        head = self.head.hash if self.head is not None else None
        return tuple(each for each in self.members if each.status.state == "clean" and each.hash == head)


def list_seats(document: Devices) -> list[Seat]:
    """The regions of the devices that are there, in the order of the document.

    :raises NotFoundError: there is none.
    """
    seats = [
        Seat(device, Region(device.path, span.begin, span.end))
        for device in document.present
        for span in device.regions
    ]
    if not seats:
        raise NotFoundError(
            f"no device of the group {document.group.name!r} has a region for metadata",
            hint=f"dvm discover add {document.group.name} DEVICE makes one",
        )
    return seats


def survey(document: Devices, seats: Sequence[Seat], opened: Sequence[RegionDevice], *, closely: bool = True) -> Survey:
    """Look at all regions; nothing is changed, and a region that cannot be read is told instead of raised.

    :param opened: the regions of `seats`, open. :param closely: as for `replicate.status`.
    """
    statuses = replicate.status(list(opened), closely=closely).regions
    standings = tuple(Standing(*each) for each in zip(seats, opened, statuses, strict=True))
    own = [each for each in standings if each.is_formatted and is_own(each, document)]
    own = own or [each for each in standings if each.is_mendable and is_own(each, document)]
    lines = [_read_line(each, own) for each in _distinct(own)]
    head_line, problem = find_head(lines)
    if head_line is None:
        return Survey(document, standings, None, None, problem)
    head = next(each.status.committed for each in own if each.hash == head_line.hash)
    return Survey(document, standings, head, head_line.version, head_line.problem)


class Line(Struct, frozen=True):
    """A committed version and what is known of those that led to it.

    :ivar ancestors: their hashes, its own included. :ivar oldest: sequence of the first that is known.
    :ivar version: its envelope; None when no clean region holds it, and then, :ivar problem: why.
    :ivar is_complete: all devices that its envelope names are there, and hold it.
    """

    hash: str
    sequence: int
    ancestors: frozenset[str]
    oldest: int
    version: Version | None = None
    problem: str = ""
    is_complete: bool = False


def find_head(lines: Sequence[Line]) -> tuple[Line | None, str]:
    """The line of the version that counts, and why there is none ("" when there is no metadata at all).

    It is the one that has all others among its ancestors. A device that was away for so long that nobody remembers its
    version does not stand in the way of the one whose devices are all there; that it may be a fork from before then,
    nobody can tell any more. It is never merged.
    """
    hashes = {each.hash for each in lines}
    for each in lines:
        if hashes <= each.ancestors:
            return each, ""
    whole = [
        each
        for each in lines
        if each.is_complete and all(other.hash in each.ancestors or other.sequence < each.oldest for other in lines)
    ]
    if len(whole) == 1:
        return whole[0], ""
    told = ", ".join(sorted(f"@{each.sequence} {each.hash[:8]}" for each in lines))
    return None, f"the devices hold versions that do not follow each other: {told}" if lines else ""


def explain(found: Survey) -> Verification:
    """What is right and wrong with the group, as a document."""
    findings: list[Finding] = []
    name = found.document.group.name
    if found.problem and found.head is None:
        advice = f"dvm transact recover {name} --without DEVICE, for each device on the wrong side"
        findings.append(Finding("fork", found.problem, advice))
    elif found.head is None or found.head.sequence == 0:
        is_sure = all(each.status.state not in ("unreadable", "damaged") for each in found.standings)
        text = f"no device of the group {name!r} {'' if is_sure else 'that can be read '}holds metadata"
        findings.append(Finding("empty", text, f"dvm transact expand {name} makes the first version"))
    elif found.version is None:
        text = found.problem or "an update of the group was cut short"
        findings.append(Finding("interrupted", text, f"dvm transact recover {name} finishes or undoes it"))
    if found.version is not None:
        findings += _explain_missing(found, found.version)
    findings += [finding for each in found.standings if (finding := _explain_standing(found, each)) is not None]
    return Verification(
        group=found.document.group,
        complete=not any(each.code in _BREAKING for each in findings),
        head=found.head,
        at=found.version.at if found.version is not None else "",
        devices=found.version.devices if found.version is not None else (),
        findings=tuple(findings),
        regions=tuple(_report(each) for each in found.standings),
    )


_BREAKING = frozenset(
    {"fork", "empty", "interrupted", "missing", "unreadable", "damaged", "unformatted", "behind", "prepared", "alien"}
)
"""Findings that make a group incomplete; the others are told and do no harm."""


def require_complete(found: Survey) -> None:
    """Nothing when all devices are there and agree.

    :raises NotFoundError: the group has no metadata yet. :raises MismatchError: a device is missing, or holds something
        else; the facts have all findings.
    """
    report = explain(found)
    if report.complete:
        return
    name = found.document.group.name
    breaking = [each for each in report.findings if each.code in _BREAKING]
    first = breaking[0]
    if first.code == "empty":
        # Who knows what is on a device that cannot be read, or written to?
        first = next((each for each in breaking if each.code in ("unreadable", "damaged")), first)
    more = f", and {len(breaking) - 1} more" if len(breaking) > 1 else ""
    if first.code == "empty":
        raise NotFoundError(first.message, hint=first.advice)
    raise MismatchError(
        f"the group {name!r} is not complete: {first.message}{more}",
        hint=f"dvm transact verify {name} explains; {first.advice}",
        findings=[msgspec.to_builtins(each) for each in breaking],
    )


def readable_devices(found: Survey) -> Devices:
    """The document without the devices that were left out, or cannot be read."""
    sound = {each.uuid for each in found.standings if each.status.state != "unreadable"}
    return msgspec.structs.replace(
        found.document, devices=tuple(each for each in found.document.devices if each.uuid in sound)
    )


def is_own(each: Standing, document: Devices) -> bool:
    """Whether the region holds metadata of the document's group."""
    committed = each.status.committed
    return committed is not None and committed.group == document.group.uuid


def _distinct(own: Sequence[Standing]) -> list[Standing]:
    """One region a committed version, a clean one where there is one."""
    chosen: dict[str, Standing] = {}
    for each in sorted(own, key=lambda each: each.status.state != "clean"):
        chosen.setdefault(each.hash, each)
    return list(chosen.values())


def _read_line(each: Standing, own: Sequence[Standing]) -> Line:
    """What a region tells of its committed version."""
    committed = each.status.committed
    assert committed is not None
    bare = Line(committed.hash, committed.sequence, frozenset({committed.hash, committed.parent}), committed.sequence)
    if each.status.state != "clean":
        return bare
    try:
        history = replicate.history([each.opened])
        version = parse_version(replicate.read([each.opened]).data)
    except DrystoneError as error:
        return replace(bare, problem=error.message)
    holding = {other.uuid for other in own if other.hash == each.hash}
    return Line(
        committed.hash,
        committed.sequence,
        frozenset(hash_ for step in history for hash_ in (step.hash, step.parent)),
        history[-1].sequence,
        version,
        is_complete={device.uuid for device in version.devices} <= holding,
    )


def _explain_missing(found: Survey, version: Version) -> list[Finding]:
    there = {each.uuid for each in found.standings}
    name = found.document.group.name
    return [
        Finding(
            "missing",
            f"device {each.uuid} is missing; it was at {each.path}",
            f"attach it, or go on without it: dvm transact recover {name}",
            each.uuid,
            each.path,
        )
        for each in version.devices
        if each.uuid not in there
    ]


def _explain_standing(found: Survey, each: Standing) -> Finding | None:
    name, path, uuid = found.document.group.name, each.seat.device.path, each.uuid
    status, region = each.status, each.seat.region.name
    is_member = found.version is None or any(holder.uuid == uuid for holder in found.version.devices)
    without = f"attach another copy, or go on without it: dvm transact recover {name}"
    if status.state in ("unreadable", "damaged"):
        if not is_member:
            return Finding("outside", f"{region}: {status.problem}; the group does not need it", "", uuid, path)
        if any(other.uuid == uuid for other in found.at_head):
            without = f"its other region has all: dvm transact expand {name} --overwrite makes this one anew"
        return Finding(status.state, f"{region}: {status.problem}", without, uuid, path)
    if status.state == "unformatted":
        advice = f"dvm transact expand {name} takes it in"
        code = "unformatted" if is_member and found.head is not None else "new"
        return Finding(code, f"{region} holds no metadata", advice, uuid, path)
    if not is_own(each, found.document):
        group = status.committed.group if status.committed is not None else "?"
        advice = f"dvm transact expand {name} --overwrite takes it in, and erases that"
        code = "alien" if is_member else "outside"
        return Finding(code, f"{region} holds metadata of another group, {group}", advice, uuid, path)
    if not is_member:
        advice = f"dvm transact expand {name} takes it in again"
        return Finding("outside", f"{path} does not belong to the metadata any more, or not yet", advice, uuid, path)
    if status.state == "prepared":
        advice = f"dvm transact recover {name} finishes or undoes it"
        return Finding("prepared", f"{region}: an update was cut short here", advice, uuid, path)
    if found.head is not None and each.hash != found.head.hash:
        sequence = status.committed.sequence if status.committed is not None else 0
        text = f"{region} is at @{sequence}, the others are at @{found.head.sequence}"
        return Finding("behind", text, f"dvm transact recover {name} brings it up to date", uuid, path)
    return None


def _report(each: Standing) -> SeatReport:
    committed = each.status.committed
    return SeatReport(
        uuid=each.uuid,
        path=each.seat.device.path,
        begin=each.seat.region.begin,
        end=each.seat.region.end,
        state=each.status.state,
        sequence=committed.sequence if committed is not None else 0,
        hash=each.hash,
    )
