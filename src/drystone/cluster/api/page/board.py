"""What the page shows, as values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from drystone.cluster.model.dlv import Dlv, Group, Leg, MirrorKey
from drystone.cluster.model.dpv import Dpv, Dvg, Ihost
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.job import Job
from drystone.wire.page.words import spell_count

Level = Literal["good", "warning", "bad", "quiet"]

_WAYS = {
    "creating": "being made",
    "attaching": "being attached",
    "restoring": "being restored",
    "detaching": "being detached",
    "fencing": "its ihost is being shut out",
    "deleting": "being deleted",
}
_NAMES_SAID = 3


class LegCard(NamedTuple):
    """A leg. :ivar state: in words. :ivar is_good: it holds all that was acknowledged, and its dpv is available."""

    dpv: str
    location: str
    state: str
    level: Level
    is_good: bool


class MirrorCard(NamedTuple):
    """The copies of one stripe. :ivar note: what is wrong with it, "" for nothing."""

    name: str
    legs: tuple[LegCard, ...]
    note: str
    level: Level


class GroupCard(NamedTuple):
    """A group. :ivar size: bytes that it holds."""

    number: int
    role: str
    size: int
    mirrors: tuple[MirrorCard, ...]


class DlvCard(NamedTuple):
    """A volume. :ivar place: where it is attached, or is to be, and what it is copied from, in words.

    :ivar good: copies of its worst mirror. :ivar can_fail_over: its ihost may be given up by force.
    """

    dlv: Dlv
    level: Level
    status: str
    place: str
    good: int
    groups: tuple[GroupCard, ...]
    jobs: tuple[Job, ...]
    can_fail_over: bool


class HostCard(NamedTuple):
    """A dpv. :ivar size, free: bytes."""

    dpv: Dpv
    level: Level
    size: int
    free: int


class DvgCard(NamedTuple):
    """A dvg. :ivar places: that can fail on their own, of its available dpvs. :ivar size, free: of these, bytes."""

    name: str
    hosts: tuple[HostCard, ...]
    places: int
    size: int
    free: int


class EventLine(NamedTuple):
    """An event. :ivar at: RFC 3339."""

    number: int
    at: str
    caller: str
    what: str
    kind: str
    subject: str
    text: str


class Found(NamedTuple):
    """What was read, of one moment. :ivar dlvs: some of them, the notable ones first.

    :ivar counts: of all dlvs by their status, :ivar attached: and by the name of the ihost that has them.
    """

    dpvs: tuple[Dpv, ...]
    dvgs: tuple[Dvg, ...]
    ihosts: tuple[Ihost, ...]
    dlvs: tuple[Dlv, ...]
    counts: Mapping[str, int]
    attached: Mapping[str, int]
    jobs: tuple[Job, ...]
    events: tuple[EventLine, ...]


class Board(NamedTuple):
    """The whole. :ivar summary: in a sentence, and :ivar level: how bad that is.

    :ivar more: dlvs that are not among the cards. :ivar loose: dpvs in no dvg.
    :ivar attached: how many dlvs an ihost has.
    """

    level: Level
    summary: str
    dlvs: tuple[DlvCard, ...]
    more: int
    dvgs: tuple[DvgCard, ...]
    loose: tuple[HostCard, ...]
    ihosts: tuple[Ihost, ...]
    attached: Mapping[str, int]
    jobs: tuple[Job, ...]
    events: tuple[EventLine, ...]


def make_board(found: Found) -> Board:
    """The board at one moment."""
    dpvs = {each.name: each for each in found.dpvs}
    ihosts = {each.name: each for each in found.ihosts}
    cards = tuple(draw_dlv(each, dpvs, ihosts, found.jobs) for each in found.dlvs)
    total = sum(found.counts.values())
    level, summary = judge(cards, found.dpvs, found.ihosts, total)
    return Board(
        level,
        summary,
        cards,
        total - len(cards),
        tuple(_draw_dvg(each, dpvs) for each in found.dvgs),
        tuple(_draw_host(each) for each in found.dpvs if not each.dvg),
        found.ihosts,
        found.attached,
        found.jobs,
        found.events,
    )


def judge(
    cards: Collection[DlvCard], dpvs: Collection[Dpv], ihosts: Collection[Ihost], total: int
) -> tuple[Level, str]:
    """How bad it is, and the sentence that says it. :param total: all dlvs there are."""
    lost = [each for each in cards if each.good == 0]
    alone = [each for each in cards if each.good and each.good < each.dlv.mirrors]
    failed = [each for each in cards if each.dlv.status == "failed"]
    parts = [
        _say(lost, "has no good copy within reach", "have no good copy within reach"),
        _say(failed, "failed", "failed"),
        _say(alone, "has fewer good copies than it should", "have fewer good copies than they should"),
    ]
    for kind, hosts in (("dpv", dpvs), ("ihost", ihosts)):
        away = [each.name for each in hosts if each.status == "unavailable"]
        if away:
            parts.append(f"{spell_count(len(away), kind)} unavailable ({_some(away)})")
    said = "; ".join(each for each in parts if each)
    if said:
        return "bad" if lost or failed else "warning", f"{said[0].upper()}{said[1:]}."
    if not dpvs:
        return "quiet", "There is nothing here yet: no dpv was registered."
    moving = sum(each.dlv.status not in {"attached", "detached"} for each in cards)
    if not total:
        return "good", "All hosts are well. There is no volume yet."
    tail = f"; {spell_count(moving, 'is', 'are')} on the way" if moving else ""
    return "good", f"All is well: {spell_count(total, 'volume')} with all copies{tail}."


def draw_dlv(dlv: Dlv, dpvs: Mapping[str, Dpv], ihosts: Mapping[str, Ihost], jobs: Collection[Job] = ()) -> DlvCard:
    """A volume with its legs."""
    groups = tuple(_draw_group(dlv, group, dpvs) for group in dlv.groups)
    counts = [
        sum(leg.is_good for leg in mirror.legs)
        for group in groups
        for mirror in group.mirrors
        if mirror.level != "quiet"
    ]
    good = min(counts, default=dlv.mirrors)
    level: Level = "good" if dlv.status in {"attached", "detached"} else "quiet"
    if good == 0 or dlv.status == "failed":
        level = "bad"
    elif good < dlv.mirrors or dlv.status == "fencing":
        level = "warning"
    holder = dlv.attachment.ihost if dlv.attachment else ""
    return DlvCard(
        dlv,
        level,
        _WAYS.get(dlv.status, dlv.status),
        _say_place(dlv, ihosts),
        good,
        groups,
        tuple(each for each in jobs if each.dlv == dlv.name),
        bool(holder) and dlv.status != "fencing",
    )


def _say_place(dlv: Dlv, ihosts: Mapping[str, Ihost]) -> str:
    copied = f"; being copied from {dlv.source.name}" if dlv.source is not None else ""
    return _say_holder(dlv, ihosts) + copied


def _say_holder(dlv: Dlv, ihosts: Mapping[str, Ihost]) -> str:
    holder = dlv.attachment.ihost if dlv.attachment else ""
    if not holder:
        return f"to be attached to {dlv.wanted}" if dlv.wanted else "attached nowhere"
    away = ihosts[holder].status != "available" if holder in ihosts else True
    text = f"at {holder}" + (", which does not answer" if away else "")
    return text if dlv.wanted in {"", holder} else f"{text}; to be at {dlv.wanted}"


def _draw_group(dlv: Dlv, group: Group, dpvs: Mapping[str, Dpv]) -> GroupCard:
    mirrors = tuple(_draw_mirror(dlv, key, dpvs) for key in group.mirrors)
    return GroupCard(group.number, group.role, group.size, mirrors)


def _draw_mirror(dlv: Dlv, key: MirrorKey, dpvs: Mapping[str, Dpv]) -> MirrorCard:
    legs = tuple(draw_leg(leg, dpvs.get(leg.dpv)) for leg in dlv.legs_of(key))
    good = sum(each.is_good for each in legs)
    if all(leg.status in {"planned", "creating", "deleting"} for leg in dlv.legs_of(key)):
        return MirrorCard(str(key), legs, "", "quiet")
    if good == 0:
        return MirrorCard(str(key), legs, "no good copy within reach", "bad")
    if good < dlv.mirrors:
        note = "one good copy left" if good == 1 else f"{good} good copies of {dlv.mirrors}"
        return MirrorCard(str(key), legs, note, "warning")
    return MirrorCard(str(key), legs, "", "good")


def draw_leg(leg: Leg, dpv: Dpv | None) -> LegCard:
    """A leg. What is not made yet is said to be so, whatever set it will be in."""
    state, level = _tell_leg(leg)
    away = dpv is None or dpv.status != "available"
    if away:
        state, level = f"{state} · dpv away", "bad" if level == "bad" else "warning"
    return LegCard(leg.dpv, dpv.location if dpv else "", state, level, level == "good")


def _tell_leg(leg: Leg) -> tuple[str, Level]:
    if leg.status != "ready":
        return {"planned": "planned", "creating": "being made", "deleting": "being removed"}[leg.status], "quiet"
    if leg.in_sync:
        return "in sync", "good"
    return ("being copied to", "warning") if leg.copying else ("left behind", "bad")


def _draw_dvg(dvg: Dvg, dpvs: Mapping[str, Dpv]) -> DvgCard:
    hosts = tuple(_draw_host(dpvs[name]) for name in dvg.dpvs if name in dpvs)
    usable = [each for each in hosts if each.dpv.status == "available"]
    places = len({each.dpv.place for each in usable})
    return DvgCard(dvg.name, hosts, places, sum(each.size for each in usable), sum(each.free for each in usable))


def _draw_host(dpv: Dpv) -> HostCard:
    levels: dict[str, Level] = {"available": "good", "unavailable": "bad"}
    level = levels.get(dpv.status, "warning")
    return HostCard(dpv, level, dpv.extents * EXTENT, max(0, dpv.free) * EXTENT)


def _say(cards: Collection[DlvCard], one: str, many: str) -> str:
    if not cards:
        return ""
    return f"{spell_count(len(cards), 'volume')} ({_some([each.dlv.name for each in cards])}) " + (
        one if len(cards) == 1 else many
    )


def _some(names: Collection[str]) -> str:
    """A few names, and that there are more."""
    first = [*names][:_NAMES_SAID]
    return ", ".join(first) + (", ..." if len(names) > len(first) else "")
