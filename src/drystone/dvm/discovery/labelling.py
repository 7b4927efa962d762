"""Puts labels on devices and takes them off: the changes of a group's set of devices.

Every change raises the generation and rewrites the labels of all devices that are there, so that each of them knows who
belongs to the group. A change that is cut short leaves labels of two generations, of which the higher counts; doing it
again finishes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from drystone.base.errors import DrystoneError, ExistsError, MismatchError, NotFoundError, RefusedError, UsageError
from drystone.base.names import check_name, new_uuid
from drystone.dvm.discovery.discover import Group, Member
from drystone.dvm.discovery.scan import read_reading
from drystone.formats.label.label import (
    FIRST,
    LAST,
    LEAST_SIZE,
    Extent,
    Label,
    build_label,
    check_label,
    is_label,
    last_page,
)
from drystone.formats.label.layout import MOST_LISTED, PAGE
from drystone.formats.label.signatures import HEAD, TAIL, Signature, find_signatures
from drystone.kernel.pages import PageDevice, open_pages

DEFAULT_REGION = Extent(1, 257)
"""Where the metadata is unless told otherwise: 1 MiB behind the label."""


class Placed(msgspec.Struct, frozen=True):
    """A label and the path of the device that it goes to."""

    path: str
    label: Label


def parse_region(text: str) -> Extent:
    """A region from `BEGIN:END`, in pages. :raises UsageError: anything else."""
    begin, colon, end = text.partition(":")
    if not (colon and begin.isascii() and begin.isdecimal() and end.isascii() and end.isdecimal()):
        raise UsageError(f"region {text!r} is not of the form BEGIN:END", hint="pages of 4096 bytes, END exclusive")
    return Extent(int(begin), int(end))


def plan_add(
    name: str, group: Group | None, targets: Sequence[tuple[str, int]], regions: Sequence[Extent]
) -> list[Placed]:
    """The labels that make devices part of a group, in the order of writing; a new group when `group` is None.

    Each new device has a generation of its own, in which it and those before it belong to the group: a change that is
    cut short leaves nobody listed who has no label. Then all get the last generation.

    :param targets: paths and sizes in bytes.
    :raises UsageError: a name or region that cannot be, or too small a device.
    """
    wanted = tuple(sorted(regions, key=lambda each: each.begin)) or (DEFAULT_REGION,)
    if group is None:
        uuid, generation, uuids, members = new_uuid(), 0, [], 0
    else:
        name, uuid, generation, members = group.name, group.uuid, group.generation, group.expected
        uuids = [*(each.label.device for each in group.members), *group.missing]
    placed: list[Placed] = []
    for path, size in targets:
        _check_size(path, size, regions)
        generation, members, own = generation + 1, members + 1, new_uuid()
        uuids = [*uuids, own]
        new = Label(
            uuid, check_name(name, "group name"), own, size, wanted, generation, members, _listed(uuids, members)
        )
        check_label(new)
        placed.append(Placed(path, new))
    last = placed[-1].label
    return [*placed, *(_brought_to(last, each.path, each.label) for each in placed[:-1]), *_follow(group, last)]


def _check_size(path: str, size: int, regions: Sequence[Extent]) -> None:
    if size < LEAST_SIZE:
        raise UsageError(f"{path} has {size} bytes, which is too small for a device of a group")
    if not regions and DEFAULT_REGION.end > last_page(size) // PAGE:
        raise UsageError(
            f"{path} has {size} bytes, too small for the usual region of pages {DEFAULT_REGION}",
            hint="name a region, BEGIN:END in pages",
        )


def plan_finish(group: Group) -> list[Placed]:
    """The labels that are behind, brought to the newest generation: what a change that was cut short left to do."""
    newest = max((each.label for each in group.members), key=lambda label: label.generation)
    return [placed for placed in _follow(group, newest) if placed.label not in {m.label for m in group.members}]


def plan_remove(group: Group, device: str) -> list[Placed]:
    """The labels of the devices that stay when the one with the uuid `device` goes."""
    rest = [each for each in group.members if each.label.device != device]
    uuids = [*(each.label.device for each in rest), *(each for each in group.missing if each != device)]
    expected = group.expected - 1
    if not rest:
        return []
    pattern = replace(
        rest[0].label,
        name=group.name,
        generation=group.generation + 1,
        members=expected,
        listed=_listed(uuids, expected),
    )
    return _follow(msgspec.structs.replace(group, members=tuple(rest)), pattern)


def find_member(group: Group, reference: str) -> Member | None:
    """The member that `reference` means: a path, an alias or a uuid. None: one that is missing, by its uuid.

    :raises NotFoundError: the group has no such device.
    """
    for each in (*group.members, *group.left):
        if reference in (each.path, each.label.device, *each.aliases):
            return each
    if reference in group.missing:
        return None
    raise NotFoundError(f"the group {group.name!r} has no device {reference}", hint=f"dvm discover find {group.name}")


def list_foreign(device: PageDevice) -> tuple[Signature, ...]:
    """The marks of others on a device, by our own table and by wipefs where it is installed."""
    from drystone.kernel.wipefs import list_marks

    head = device.read(0, min(HEAD // PAGE, device.pages))
    begin = max(device.pages - TAIL // PAGE, 0)
    tail = device.read(begin, device.pages - begin) + device.read_rest()
    own = find_signatures(head, tail, device.size)
    places = {each.offset for each in own}
    others = (Signature(mark.kind, mark.offset, mark.length) for mark in list_marks(device.path))
    return (*own, *(each for each in others if each.offset not in places))


def require_free(device: PageDevice, *, overwrite: bool) -> tuple[Signature, ...]:
    """The marks that will be erased; empty when there are none.

    :raises ExistsError: it is labelled already. :raises RefusedError: it carries marks of others, and not `overwrite`.
    """
    if device.size < LEAST_SIZE:
        return ()
    reading = read_reading(device)
    if reading.label is not None and not overwrite:
        raise ExistsError(
            f"{device.path} is a device of the group {reading.label.name!r} already",
            hint=f"take it out first: dvm discover rm {reading.label.name} {device.path}",
            group=reading.label.group,
        )
    if reading.problem and not overwrite:
        raise RefusedError(f"{device.path} carries a label of ours: {reading.problem}", hint="--overwrite replaces it")
    marks = list_foreign(device)
    if marks and not overwrite:
        raise RefusedError(
            f"{device.path} carries somebody else's data: {', '.join(str(each) for each in marks[:6])}",
            hint="look at it with wipefs; --overwrite erases the marks",
            device=device.path,
            signatures=[str(each) for each in marks],
        )
    return marks


def write_labels(placed: Iterable[Placed]) -> None:
    """Write both copies of each label, one after the other, each flushed: durable when it returns.

    :raises DrystoneError: one of them could not be written; the fact `written` says which were.
    """
    written: list[str] = []
    for each in placed:
        try:
            with open_pages(each.path, write=True) as device:
                write_label(device, each.label)
        except DrystoneError as error:
            error.facts["written"] = written
            raise
        written.append(each.path)


def write_label(device: PageDevice, label: Label) -> None:
    """Both copies of a label, the first one first, each durable before the next."""
    for page, copy in ((0, FIRST), (last_page(device.size) // PAGE, LAST)):
        device.write(page, build_label(label, copy))
        device.flush()


def erase_label(device: PageDevice) -> None:
    """Zeros over both copies, the first one first, each durable before the next. What is no label stays."""
    for page in (0, last_page(device.size) // PAGE):
        if is_label(device.read(page, 1)):
            device.write(page, bytes(PAGE))
            device.flush()


def erase_marks(device: PageDevice, marks: Iterable[Signature]) -> None:
    """Zeros over the marks of others, durable when it returns; the rest of their pages stays."""
    for each in marks:
        first, behind = each.offset // PAGE, -(-(each.offset + each.length) // PAGE)
        if not each.length or behind > device.pages:
            continue
        data = bytearray(device.read(first, behind - first))
        begin = each.offset - first * PAGE
        data[begin : begin + each.length] = bytes(each.length)
        device.write(first, bytes(data))
    device.flush()


def _follow(group: Group | None, pattern: Label) -> list[Placed]:
    """The labels of the devices that are there already, brought to the generation and members of `pattern`."""
    if group is None:
        return []
    if group.clones:
        raise MismatchError(
            f"{group.clones[0][1]} and {group.clones[0][2]} claim to be one device of the group {group.name!r}",
            hint="take one of them away, or reject it by a filter (-c FILE)",
        )
    return [_brought_to(pattern, each.path, each.label) for each in group.members]


def _brought_to(pattern: Label, path: str, label: Label) -> Placed:
    """A device's label, brought to the generation and members of `pattern`."""
    newer = replace(
        label,
        name=pattern.name,
        generation=pattern.generation,
        members=pattern.members,
        listed=pattern.listed,
    )
    return Placed(path, newer)


def _listed(uuids: Sequence[str], members: int) -> tuple[str, ...]:
    """The list of devices for a label; empty when it is too long, or not all of them are known."""
    return tuple(sorted(uuids)) if len(uuids) == members <= MOST_LISTED else ()
