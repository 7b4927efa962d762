"""From what is on each device to groups: the newest text of each, and which of its devices are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from drystone.base.errors import DamagedError, MismatchError, NotFoundError, UsageError
from drystone.base.names import find_by_reference
from drystone.base.sizes import SECTOR
from drystone.dvm.lvm2.survey import Surveyed
from drystone.formats.lvm2.group import Group, PhysicalVolume

NO_GROUP_HINT = "dvm lvm2 scan says what is on the devices, dvm lvm2 rescue looks for older texts"


@dataclass(frozen=True, slots=True)
class Found:
    """Where a physical volume is. `size`: bytes of the device."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Assembled:
    """A group and its devices.

    :ivar data: the text that it was read from.
    :ivar found: where its physical volumes are, by UUID. One that two devices claim to be is not there.
    :ivar sources: paths of the devices that hold this text. :ivar stale: paths of those that hold an older one.
    :ivar conflict: two texts have this number; the group may have been changed from two sides.
    :ivar problems: a line each.
    """

    group: Group
    data: bytes
    found: Mapping[str, Found] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    conflict: bool = False
    problems: tuple[str, ...] = ()

    def locate(self, volume: PhysicalVolume) -> Found | None:
        """Where a physical volume is that can be used; None when it is missing, or marked as missing in the text."""
        return None if "MISSING" in volume.flags or "MISSING" in volume.status else self.found.get(volume.uuid)


def assemble(surveyed: Sequence[Surveyed], named: Mapping[str, Found] | None = None) -> tuple[Assembled, ...]:
    """The groups whose committed text is on the devices, by name and UUID.

    :param named: physical volumes by UUID that somebody says are at these places: their labels do not count.
    """
    texts: dict[str, dict[bytes, tuple[Group, list[str]]]] = {}
    for device in surveyed:
        for area in device.areas:
            if area.header is None or area.header.ignored or area.committed is None or area.committed.group is None:
                continue
            group = area.committed.group
            paths = texts.setdefault(group.uuid, {}).setdefault(area.committed.data, (group, []))[1]
            if device.path not in paths:
                paths.append(device.path)
    groups = [_assemble_group(candidates, surveyed, named or {}) for candidates in texts.values()]
    return tuple(sorted(groups, key=lambda each: (each.group.name, each.group.uuid)))


def _assemble_group(
    candidates: Mapping[bytes, tuple[Group, list[str]]], surveyed: Sequence[Surveyed], named: Mapping[str, Found]
) -> Assembled:
    newest = max(group.number for group, _ in candidates.values())
    # The text that most devices hold goes first; the text itself decides between equals, so that the answer is one.
    ranked = sorted(candidates, key=lambda data: (-candidates[data][0].number, -len(candidates[data][1]), data))
    data = ranked[0]
    group, sources = candidates[data]
    others = [candidates[other] for other in ranked[1:]]
    stale = {path for other, paths in others if other.number < newest for path in paths} - set(sources)
    disputed = tuple(path for other, paths in others if other.number == newest for path in paths)
    found = with_devices(group, data, surveyed, named, sources=tuple(sources))
    problems = [f"{path} holds another text of this number" for path in disputed]
    problems += [f"{path} holds an older text" for path in sorted(stale)]
    return replace(found, stale=tuple(sorted(stale)), conflict=bool(disputed), problems=(*found.problems, *problems))


def with_devices(
    group: Group,
    data: bytes,
    surveyed: Sequence[Surveyed],
    named: Mapping[str, Found],
    *,
    sources: tuple[str, ...] = (),
) -> Assembled:
    """The group of a text, with those of its devices that are there."""
    claims: dict[str, list[Found]] = {}
    for device in surveyed:
        if device.label is not None:
            claims.setdefault(device.label.uuid, []).append(Found(device.path, device.size))
    problems: list[str] = []
    found: dict[str, Found] = {}
    for volume in group.physical:
        places = [named[volume.uuid]] if volume.uuid in named else claims.get(volume.uuid, [])
        if len(places) > 1:
            paths = ", ".join(place.path for place in places)
            problems.append(f"{volume.name} {volume.uuid} is on several devices: {paths}")
        elif not places:
            was = f", was at {volume.hint}" if volume.hint else ""
            problems.append(f"{volume.name} {volume.uuid} is missing{was}")
        else:
            found[volume.uuid] = places[0]
            if places[0].size < volume.size * SECTOR:
                problems.append(f"{places[0].path} is shorter than the {volume.size * SECTOR} bytes that it had")
    return Assembled(group, data, found, sources, problems=tuple(problems))


def pick_group(groups: Sequence[Assembled], reference: str | None, surveyed: Sequence[Surveyed]) -> Assembled:
    """The group that `reference` (name, UUID or the beginning of one) means; without one, the only one.

    :raises NotFoundError: there is none. :raises DamagedError: none, and there is damage on the devices.
    :raises UsageError: which one was not said, or two have that name.
    """
    require_some(groups, surveyed)
    if reference is None:
        if len(groups) > 1:
            names = ", ".join(each.group.name for each in groups)
            raise UsageError(f"there are {len(groups)} groups: {names}", hint="name one: --group NAME or UUID")
        return groups[0]
    pairs = [(each.group.uuid, each.group.name) for each in groups]
    uuid = find_by_reference(reference, pairs, "group", shared=True)
    return next(each for each in groups if each.group.uuid == uuid)


def require_some(groups: Sequence[Assembled], surveyed: Sequence[Surveyed]) -> None:
    """Nothing when there is a group.

    :raises NotFoundError, DamagedError: as `pick_group`.
    """
    if groups:
        return
    problems = list_problems(surveyed)
    if problems:
        raise DamagedError(f"no text of a group can be read: {problems[0]}", hint=NO_GROUP_HINT, problems=problems)
    raise NotFoundError("no LVM2 group is on these devices", hint=NO_GROUP_HINT)


def require_one_truth(assembled: Assembled) -> None:
    """Nothing when one text is the newest.

    :raises MismatchError: two are.
    """
    if assembled.conflict:
        raise MismatchError(
            f"two texts of group {assembled.group.name} have the number {assembled.group.number}",
            hint="look at both with dvm lvm2 rescue, and choose one with --checksum",
        )


def list_problems(surveyed: Sequence[Surveyed]) -> list[str]:
    """What is wrong on the devices, a line each."""
    found: list[str] = []
    for device in surveyed:
        if device.problem:
            found.append(f"{device.path}: {device.problem}")
        for area in device.areas:
            texts = [text.problem for text in (area.committed, area.precommitted) if text is not None and text.problem]
            found += [f"{device.path}: {problem}" for problem in ([area.problem] if area.problem else []) + texts]
    return found
