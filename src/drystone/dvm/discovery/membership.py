"""Adds devices to a group and takes them out: looks, locks, looks again, writes. The edge of `dvm discover`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence

from drystone.base.errors import BusyError, NotFoundError, RefusedError, UsageError
from drystone.dvm.discovery.devices import Devices
from drystone.dvm.discovery.discover import (
    Group,
    Member,
    choose_group,
    gather,
    list_problems,
    to_devices,
)
from drystone.dvm.discovery.filters import judge
from drystone.dvm.discovery.finding import is_built_upon
from drystone.dvm.discovery.labelling import (
    Placed,
    erase_label,
    erase_marks,
    find_member,
    plan_add,
    plan_finish,
    plan_remove,
    require_free,
    write_labels,
)
from drystone.dvm.discovery.scan import Found, Place, read_reading, scan, to_absolute
from drystone.formats.label.label import Extent, Reading
from drystone.formats.region.slots import parse_page_zero
from drystone.kernel.pages import PageDevice, locked_paths, open_pages


def add_devices(
    place: Place,
    reference: str,
    paths: Sequence[str],
    regions: Sequence[Extent],
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    wait_s: float = 10.0,
) -> Devices:
    """Label the devices at `paths` as those of the group `reference`, which is made when there is none of that name.

    Durable when it returns: the new labels first, then those of the others. Once more for a device that is in the group
    finishes what an interrupted change left to do. All are looked at before the first is written to.

    :param overwrite: also those that carry somebody else's data, whose marks are erased. :param dry_run: only look.
    :raises UsageError: too small, no device, twice the same, or rejected by the filters. :raises BusyError: one is
        mounted or part of another device, or the group is being changed. :raises ExistsError: labelled already.
    :raises RefusedError: it carries somebody else's data. :raises KernelError: read-only, or it fails.
    """
    from drystone.kernel.identity import refuse_loops

    wanted = [to_absolute(path) for path in paths]
    if len({os.path.realpath(path) for path in wanted}) < len(wanted):
        raise UsageError("one device was named twice")
    found = scan(place)
    for path in wanted:
        _require_accepted(place, path, found)
    group = _find_or_none(gather(found, is_built_upon), reference)
    members = group.members if group is not None else ()
    inside = {path for each in members for path in (each.path, *each.aliases)}
    if group is not None and len(wanted) == 1 and wanted[0] in inside:
        return _finish(group, wanted[0], dry_run=dry_run, wait_s=wait_s)
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(open_pages(path, write=True, exclusive=True)) for path in wanted]
        stack.enter_context(locked_paths([*_paths(members), *wanted], shared=False, patience=wait_s))
        for device in devices:
            if device.number is None:
                refuse_loops(device.path)
        _require_unchanged(members)
        placed = plan_add(reference, group, [(each.path, each.size) for each in devices], regions)
        marks = [require_free(each, overwrite=overwrite) for each in devices]
        if not dry_run:
            for device, found_marks in zip(devices, marks, strict=True):
                erase_marks(device, found_marks)
            write_labels(placed)
    return _after(group, placed, found)


def remove_device(
    place: Place, reference: str, device: str, *, force: bool = False, dry_run: bool = False, wait_s: float = 10.0
) -> Devices | None:
    """Take a device out of a group: the labels of the others first, then its own. None when it was the last one.

    :param device: its path, an alias, or its uuid; by uuid also one that is missing.
    :param force: also when it holds metadata of the group. :param dry_run: only look.
    :raises NotFoundError: no such group or device. :raises RefusedError: it holds metadata of the group.
    :raises BusyError: the group is being changed.
    """
    found = scan(place)
    group = choose_group(gather(found, is_built_upon), reference, list_problems(found))
    named = to_absolute(device) if "/" in device else device
    member = find_member(group, named)
    uuid = member.label.device if member is not None else named
    paths = _paths([*group.members, *([member] if member else [])])
    with locked_paths(paths, shared=False, patience=wait_s):
        _require_unchanged(group.members)
        if member is not None and not force:
            _require_no_metadata(member)
        placed = [] if member in group.left else plan_remove(group, uuid)
        if not dry_run:
            write_labels(placed)
            if member is not None:
                with open_pages(member.path, write=True) as opened:
                    erase_label(opened)
    return _after(group, placed, found) if placed else None


def _paths(members: Iterable[Member]) -> list[str]:
    return [each.path for each in members]


def _finish(group: Group, path: str, *, dry_run: bool, wait_s: float) -> Devices:
    behind = plan_finish(group)
    if not behind:
        with open_pages(path) as device:
            require_free(device, overwrite=False)
    elif not dry_run:
        with locked_paths(_paths(group.members), shared=False, patience=wait_s):
            _require_unchanged(group.members)
            write_labels(behind)
    return to_devices(group)


def _find_or_none(groups: Sequence[Group], reference: str) -> Group | None:
    try:
        return choose_group(groups, reference)
    except NotFoundError:
        return None


def _require_accepted(place: Place, path: str, found: Sequence[Found]) -> None:
    """:raises UsageError: no scan would ever see the device."""
    resolved = os.path.realpath(path)
    if any({path, resolved} & {each.path, *each.aliases} for each in found):
        return
    verdict = judge(place.filters, dict.fromkeys([path, resolved]))
    if not verdict.is_accepted:
        raise UsageError(f"{path} is left out by the filters of the configuration: {verdict.by}")


def _require_unchanged(members: Sequence[Member]) -> None:
    """:raises BusyError: somebody changed a label since it was read."""
    for each in members:
        with open_pages(each.path) as device:
            if read_reading(device).label != each.label:
                raise BusyError(f"the label of {each.path} was changed meanwhile", hint="try again")


def _require_no_metadata(member: Member) -> None:
    """:raises RefusedError: a region of the device holds metadata of its group."""
    with open_pages(member.path) as device:
        for region in member.label.regions:
            if region.end <= device.pages and _holds_metadata(device, region, member.label.group):
                raise RefusedError(
                    f"{member.path} holds metadata of the group {member.label.name!r}",
                    hint=f"dvm transact reduce {member.label.name} {member.path} takes it out; --force leaves it there",
                )


def _holds_metadata(device: PageDevice, region: Extent, group: str) -> bool:
    zero = parse_page_zero(device.read(region.begin, 1))
    return zero is not None and zero.current is not None and str(zero.current.group) == group


def _after(group: Group | None, placed: Sequence[Placed], found: Sequence[Found]) -> Devices:
    """The group as the labels that were written have it."""
    before = {each.path: each for each in found}
    now = []
    for each in {each.path: each for each in placed}.values():
        old = before.get(each.path)
        aliases = old.aliases if old is not None else ()
        now.append(Found(each.path, aliases, each.label.size, Reading(each.label, "good", "good")))
    assert group is None or group.uuid == placed[0].label.group
    return to_devices(gather(now, lambda _, __: False)[0])
