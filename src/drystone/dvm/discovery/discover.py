"""Groups out of labels: which devices belong together, which are missing, and what is odd about them.

Functions of what a scan has found. Of a group's labels the one of the highest generation knows best how many devices
there are, and which: a device that it does not name has left the group while it was away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from drystone.base.errors import MismatchError, NotFoundError
from drystone.base.names import find_by_reference
from drystone.dvm.discovery.devices import Devices, GroupDevice, GroupReference, Note, Span
from drystone.dvm.discovery.scan import Found
from drystone.formats.label.label import Label

IsBuiltUpon = Callable[[str, str], bool]
"""Whether the device at the first path is built upon the one at the second."""


class Member(Struct, frozen=True):
    """A device of a group: where it is, and its label."""

    path: str
    aliases: tuple[str, ...]
    size: int
    label: Label


class Group(Struct, frozen=True):
    """What the labels of one group say together.

    :ivar members: its devices that were found. :ivar missing: uuids of those that were not, where labels list them.
    :ivar expected: how many there should be. :ivar generation: the highest.
    :ivar left: devices that carry its label and were taken out of it while they were away.
    :ivar clones: (uuid, path, path) of pairs that claim to be one device.
    """

    name: str
    uuid: str
    members: tuple[Member, ...]
    missing: tuple[str, ...]
    expected: int
    generation: int
    clones: tuple[tuple[str, str, str], ...]
    left: tuple[Member, ...]
    notes: tuple[Note, ...]


def gather(found: Iterable[Found], is_built_upon: IsBuiltUpon) -> list[Group]:
    """The groups, by name and uuid."""
    by_group: dict[str, list[Found]] = {}
    for each in found:
        if each.reading is not None and each.reading.label is not None:
            by_group.setdefault(each.reading.label.group, []).append(each)
    groups = [_make_group(uuid, devices, is_built_upon) for uuid, devices in by_group.items()]
    names = [group.name for group in groups]
    twice = {name for name in names if names.count(name) > 1}
    return sorted((_with_namesake(group, group.name in twice) for group in groups), key=lambda g: (g.name, g.uuid))


def list_problems(found: Iterable[Found]) -> tuple[Note, ...]:
    """What was ours and could not be used, and what could not be read at all."""
    notes = []
    for each in found:
        if each.problem:
            notes.append(Note("unreadable", f"{each.path}: {each.problem}", each.path))
        elif each.reading is not None and each.reading.label is None and each.reading.problem:
            notes.append(Note("label", f"{each.path}: {each.reading.problem}", each.path))
    return tuple(notes)


def choose_group(groups: Sequence[Group], reference: str, problems: Sequence[Note] = ()) -> Group:
    """The group of that name, uuid, or beginning of a uuid.

    :param problems: of the scan; they may be why it was not found.
    :raises NotFoundError: there is none. :raises UsageError: several have the name.
    """
    try:
        uuid = find_by_reference(reference, [(group.uuid, group.name) for group in groups], "group", shared=True)
    except NotFoundError as error:
        known = ", ".join(group.name for group in groups[:8])
        hint = f"there are: {known}" if known else "no device carries a label (files are named by --file)"
        notes = [each.message for each in problems] or None
        raise NotFoundError(error.message, hint=hint, unreadable=notes) from error
    return next(group for group in groups if group.uuid == uuid)


def to_devices(group: Group) -> Devices:
    """The document about a group.

    :raises MismatchError: two devices claim to be one: whatever was written to one would be missing on the other.
    """
    if group.clones:
        uuid, first, second = group.clones[0]
        raise MismatchError(
            f"{first} and {second} both say that they are device {uuid} of the group {group.name!r}",
            hint="one is a copy of the other: reject it by a filter (-c FILE), or take it away",
            devices=[first, second],
        )
    return describe_group(group)


def describe_group(group: Group) -> Devices:
    """The document about a group, whatever is odd about it: of clones it has the first one."""
    present = [
        GroupDevice(
            each.label.device,
            each.path,
            each.size,
            each.aliases,
            tuple(Span(region.begin, region.end) for region in each.label.regions),
        )
        for each in group.members
    ]
    missing = [GroupDevice(uuid, "", 0, missing=True) for uuid in group.missing]
    return Devices(group=GroupReference(group.name, group.uuid), devices=(*present, *missing), notes=group.notes)


def _make_group(uuid: str, found: Sequence[Found], is_built_upon: IsBuiltUpon) -> Group:
    members = [
        Member(each.path, each.aliases, each.size, each.reading.label)
        for each in found
        if each.reading is not None and each.reading.label is not None
    ]
    newest = max((each.label for each in members), key=lambda label: (label.generation, label.device))
    notes: list[Note] = []
    kept: list[Member] = []
    left: list[Member] = []
    for each in members:
        if newest.listed and each.label.device not in newest.listed:
            message = f"{each.path} was taken out of the group {newest.name!r} while it was away"
            notes.append(Note("left", message, each.path))
            left.append(each)
        else:
            kept.append(each)
    kept, clones, below = _settle_copies(kept, is_built_upon)
    notes += below
    behind = [each.path for each in kept if each.label.generation < newest.generation]
    if behind:
        message = f"a change of the group was cut short: {len(behind)} labels are behind, such as that of {behind[0]}"
        notes.append(Note("behind", message, behind[0]))
    notes += [note for each in found for note in _describe_copies(each)]
    there = {each.label.device for each in kept}
    missing = tuple(device for device in newest.listed if device not in there)
    gap = newest.members - len(there)
    if gap > 0:
        which = f": {', '.join(missing[:8])}" if missing else ""
        message = f"{gap} of the {newest.members} devices of the group {newest.name!r} are missing{which}"
        notes.append(Note("missing", message))
    kept.sort(key=lambda each: (each.path, each.label.device))
    return Group(
        newest.name,
        uuid,
        tuple(kept),
        missing,
        newest.members,
        newest.generation,
        tuple(clones),
        tuple(left),
        tuple(notes),
    )


def _settle_copies(
    members: Sequence[Member], is_built_upon: IsBuiltUpon
) -> tuple[list[Member], list[tuple[str, str, str]], list[Note]]:
    """One member a device. Of two paths to the same label the upper one is used; two that are apart are clones."""
    chosen: dict[str, Member] = {}
    clones: list[tuple[str, str, str]] = []
    notes: list[Note] = []
    for each in members:
        other = chosen.setdefault(each.label.device, each)
        if other is each:
            continue
        if is_built_upon(each.path, other.path):
            upper, lower = each, other
        elif is_built_upon(other.path, each.path):
            upper, lower = other, each
        else:
            clones.append((each.label.device, other.path, each.path))
            notes.append(Note("clone", f"{other.path} and {each.path} carry the same label", each.path))
            continue
        chosen[each.label.device] = upper
        notes.append(Note("below", f"{lower.path} is below {upper.path}, which is used", lower.path))
    return list(chosen.values()), clones, notes


def _describe_copies(found: Found) -> list[Note]:
    assert found.reading is not None
    assert found.reading.label is not None
    label, reading = found.reading.label, found.reading
    if label.size != found.size:
        message = f"{found.path} has {found.size} bytes, its label says {label.size}"
        return [Note("resized", message, found.path)]
    if reading.is_whole:
        return []
    place, state = ("first", reading.first) if reading.first != "good" else ("last", reading.last)
    words = {"none": "missing", "elsewhere": "of another device", "unsupported": "of another version"}
    message = f"the label in the {place} page of {found.path} is {words.get(state, state)}; the other one is used"
    return [Note("one-copy", message, found.path)]


def _with_namesake(group: Group, has_namesake: bool) -> Group:
    if not has_namesake:
        return group
    message = f"another group is called {group.name!r} as well: this one is {group.uuid}"
    return replace(group, notes=(*group.notes, Note("namesake", message)))
