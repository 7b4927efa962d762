"""Finds groups by the labels of this machine's devices. Nothing is written here."""

from __future__ import annotations

from drystone.base.errors import NotFoundError
from drystone.dvm.discovery.devices import Devices, Groups, Note
from drystone.dvm.discovery.discover import Group, choose_group, describe_group, gather, list_problems, to_devices
from drystone.dvm.discovery.scan import Place, scan


def look(place: Place) -> tuple[list[Group], tuple[Note, ...]]:
    """All groups of this machine, and what could not be read."""
    found = scan(place)
    return gather(found, is_built_upon), list_problems(found)


def find(place: Place, reference: str) -> Devices:
    """The devices of a group. Raises as `discover.choose_group` and `discover.to_devices`."""
    groups, problems = look(place)
    return to_devices(choose_group(groups, reference, problems))


def list_all(place: Place) -> Groups:
    """All groups, and what could not be read."""
    groups, problems = look(place)
    return Groups(groups=tuple(describe_group(each) for each in groups), notes=problems)


def is_built_upon(upper: str, lower: str) -> bool:
    """Whether the device at one path is the one at the other, or is built upon it."""
    from drystone.kernel.identity import find_place, list_below

    try:
        return find_place(lower) in list_below(find_place(upper))
    except NotFoundError:
        return False
