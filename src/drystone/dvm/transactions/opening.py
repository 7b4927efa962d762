"""The regions of a group's devices, locked, open and looked at; each only where its device's label says it is."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

import msgspec

from drystone.base.errors import BusyError, DamagedError, DrystoneError, MismatchError, NotFoundError
from drystone.dvm.discovery.devices import Devices, GroupDevice
from drystone.dvm.discovery.scan import read_reading, to_absolute
from drystone.dvm.replication.regions import AbsentRegion, open_regions
from drystone.dvm.transactions.survey import Seat, Survey, list_seats, survey
from drystone.formats.label.label import Extent
from drystone.kernel.pages import PAGE, locked_paths, open_pages


@contextlib.contextmanager
def opened(
    document: Devices,
    *,
    write: bool = False,
    alone: bool = False,
    wait_s: float = 10.0,
    without: Sequence[str] = (),
    closely: bool = True,
    locked: Collection[str] | None = None,
) -> Iterator[Survey]:
    """A group's regions, locked and looked at: shared with other readers, or with `write` or `alone` by itself.

    A document may be old, and a path lead to another disk by now: a device whose label is not the one that the document
    speaks of counts as one that cannot be read, and is not written to.

    :param without: paths or uuids of devices that are left out.
    :param closely: see to the older versions, too. An update sees to them by itself, before it writes anything.
    :param locked: the devices (paths) that the caller has locked, and has found the document by their labels since.
    :raises NotFoundError: no regions, or no such device in `without`. :raises BusyError: another tool works on them.
    """
    seats = list_seats(_leave_out(document, without))
    with contextlib.ExitStack() as stack:
        if locked is None:
            paths = {seat.region.path for seat in seats}
            stack.enter_context(locked_paths(paths, shared=not (write or alone), patience=wait_s))
            problems = [find_problem(seat, document.group.uuid) for seat in seats]
        else:
            problems = [_find_late(seat, locked) for seat in seats]
        wrong = {id(seat): error for seat, error in zip(seats, problems, strict=True) if error is not None}
        regions = [seat.region for seat in seats if id(seat) not in wrong]
        devices = iter(stack.enter_context(open_regions(regions, write=write, tolerant=True)) if regions else ())
        yield survey(
            document,
            seats,
            [AbsentRegion(seat.region, wrong[id(seat)]) if id(seat) in wrong else next(devices) for seat in seats],
            closely=closely,
        )


def find_problem(seat: Seat, group: str) -> DrystoneError | None:
    """Why the region is not to be touched; None when its device is the one that is meant."""
    path, span = seat.device.path, Extent(seat.region.begin, seat.region.end)
    try:
        with open_pages(path) as device:
            label = read_reading(device).label
            pages = device.pages
    except DrystoneError as error:
        return error
    if label is None or (label.group, label.device) != (group, seat.device.uuid):
        whose = "carries no label" if label is None else f"is device {label.device} of the group {label.name!r}"
        return MismatchError(f"{path} {whose}, not device {seat.device.uuid}", device=path)
    if span not in label.regions:
        return MismatchError(f"the label of {path} has no region {span}", device=path)
    return _require_room(seat, pages)


def _find_late(seat: Seat, locked: Collection[str]) -> DrystoneError | None:
    """As `find_problem`, of a device that was locked before its label was read; one that was not came in between."""
    path = seat.device.path
    if path not in locked:
        return BusyError(f"{path} has just come: it was not there a moment ago", hint="once more", device=path)
    return _require_room(seat, seat.device.size // PAGE)


def _require_room(seat: Seat, pages: int) -> DrystoneError | None:
    """Why the region is not to be touched on a device of so many pages."""
    if seat.region.end > pages:
        return DamagedError(f"it ends behind its device, which has {pages} pages", device=seat.device.path)
    return None


def is_silent(path: str) -> bool:
    """Whether the device does not say which one it is: it cannot be read, or carries no label."""
    try:
        with open_pages(path) as device:
            return read_reading(device).label is None
    except DrystoneError:
        return True


def find_device(document: Devices, reference: str) -> GroupDevice:
    """The device with that path, alias or uuid. :raises NotFoundError: there is none."""
    absolute = to_absolute(reference)
    for each in document.devices:
        if reference and (reference in (each.uuid, each.path, *each.aliases) or absolute == each.path):
            return each
    raise NotFoundError(f"the group {document.group.name!r} has no device {reference!r}", hint="a path or a uuid")


def _leave_out(document: Devices, without: Sequence[str]) -> Devices:
    going = {find_device(document, each).uuid for each in without}
    kept = tuple(each for each in document.devices if each.uuid not in going)
    return msgspec.structs.replace(document, devices=kept)
