"""Extents move from a device to others while the volumes are in use.

A move is begun, goes on in the kernel, and is ended: begun, each run that moves knows where to (`to`), both places are
reserved, and the active volume writes to both while a mirror target copies. What was written down in the group is all
that a move is: after a restart the mirror begins to copy again, and the move can be ended or given up at any time.
Ended, the new place is the only one; given up, the old one.

A mirror of dm-raid1 with its log in memory is used; until it is in sync, reads go to the old place (Linux 6.1
`drivers/md/dm-raid1.c`, choose_mirror and the region log).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from drystone.base.errors import ExhaustedError, RefusedError, UsageError
from drystone.dvm.groups.allocation import Leg, Room, allocate, free_room, taken
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Linear, Place, Raid, Row, Run, Striped, joined
from drystone.dvm.metadata.edit import changed, chosen_devices, part_of_run, replaced


def begin(
    group: Group, source: str, *, volumes: Sequence[str] = (), policy: str = "anywhere", devices: Sequence[str] = ()
) -> Group:
    """Begin to move what is on the device `source` (uuid or path), of all volumes or of those named with their parts.

    What moves is kept apart from the other legs of its stripe or raid set.

    :param devices: where to; all others than `source` when none is named.
    :raises UsageError: nothing is there to be moved. :raises ExhaustedError: there is no room.
    """
    index = Index(group)
    device = index.find_device(source)
    targets = [each for each in chosen_devices(index, devices) or group.devices if each.uuid != device.uuid]
    wanted = {each.uuid for name in volumes for each in index.tree(index.find(name))}
    room: Room = free_room(group)
    moving: dict[str, AnyVolume] = {}
    for volume in group.volumes:
        if volumes and volume.uuid not in wanted:
            continue
        for run in _staying(volume, device.uuid):
            now = moving.get(volume.uuid, volume)
            away = {each.device for each in _siblings(index, now, run)}
            allowed = [each for each in targets if each.uuid not in away]
            if not allowed:
                raise ExhaustedError(
                    f"{volume.name} has its other legs on every device that {source} could be moved to"
                )
            (places,) = allocate(group, [Leg(run.count)], policy, allowed, free=room)
            room = taken(room, places)
            moving[volume.uuid] = _mapped(now, _sender(run, places))
    if not moving:
        raise UsageError(f"nothing that could be moved is on {source}", device=device.uuid)
    return replaced(group, change=moving.values())


def finish(group: Group, in_sync: Collection[str] | None, *, volumes: Sequence[str] = ()) -> Group:
    """End the moves: the new places are the only ones.

    :param in_sync: names of the volumes (parts by their own names) whose mirrors have copied everything; None when the
        caller takes that upon himself.
    :raises RefusedError: one has not. :raises UsageError: nothing is being moved.
    """
    index, moving = _moving(group, volumes)
    if in_sync is not None:
        waiting = [volume.name for volume in moving if volume.name not in in_sync]
        if waiting:
            raise RefusedError(
                f"{', '.join(waiting[:8])}: not everything is copied yet",
                hint="dvm report segments --live shows how far",
            )
    return replaced(index.group, change=[_mapped(volume, lambda run: [_arrived(run)]) for volume in moving])


def abort(group: Group, *, volumes: Sequence[str] = ()) -> Group:
    """Give the moves up: the old places are the only ones, and hold everything.

    :raises UsageError: nothing is being moved.
    """
    index, moving = _moving(group, volumes)
    return replaced(
        index.group,
        change=[_mapped(volume, lambda run: [Run(run.device, run.begin, run.count)]) for volume in moving],
    )


def _moving(group: Group, volumes: Sequence[str]) -> tuple[Index, list[AnyVolume]]:
    index = Index(group)
    wanted = {each.uuid for name in volumes for each in index.tree(index.find(name))}
    moving = [
        volume
        for volume in group.volumes
        if (not volumes or volume.uuid in wanted) and any(run.to is not None for run in volume.runs())
    ]
    if not moving:
        raise UsageError("nothing is being moved")
    return index, moving


def _staying(volume: AnyVolume, device: str) -> list[Run]:
    return [run for run in volume.runs() if run.device == device and run.to is None]


def _siblings(index: Index, volume: AnyVolume, run: Run) -> Iterator[Run]:
    """Where the other legs of the row, and of every raid set above, are or will be."""
    if isinstance(volume, Striped):
        for row in volume.rows:
            if run in row.legs:
                yield from (place for leg in row.legs if leg != run for place in leg.places())
    below, owner = volume, volume.part_of
    while owner is not None:
        above = index.volumes[owner]
        if isinstance(above, Raid):
            for leg in above.legs:
                if below.uuid not in {leg.data, leg.metadata}:
                    for uuid in (leg.data, leg.metadata):
                        yield from (place for each in index.runs(index.volumes[uuid]) for place in each.places())
        below, owner = above, above.part_of


def _sender(moved: Run, places: tuple[Run, ...]) -> Callable[[Run], list[Run]]:
    """Cuts `moved` where `places` begin, and sends each piece to its place; other runs stay as they are."""

    def change(run: Run) -> list[Run]:
        if run != moved:
            return [run]
        pieces, at = [], 0
        for place in places:
            piece = part_of_run(run, at, at + place.count)
            pieces.append(Run(piece.device, piece.begin, piece.count, Place(place.device, place.begin)))
            at += place.count
        return pieces

    return change


def _arrived(run: Run) -> Run:
    return run if run.to is None else Run(run.to.device, run.to.begin, run.count)


def _mapped(volume: AnyVolume, change: Callable[[Run], list[Run]]) -> AnyVolume:
    """The volume with each run changed into others of the same length together; rows are cut where one of theirs is."""
    if isinstance(volume, Linear):
        return changed(volume, segments=joined([piece for run in volume.segments for piece in change(run)]))
    assert isinstance(volume, Striped)
    rows: list[Row] = []
    for row in volume.rows:
        legs = [change(run) for run in row.legs]
        cuts = sorted({sum(piece.count for piece in leg[:at]) for leg in legs for at in range(1, len(leg) + 1)})
        first = 0
        for last in cuts:
            rows.append(Row(tuple(_slice(leg, first, last) for leg in legs)))
            first = last
    return changed(volume, rows=tuple(rows))


def _slice(pieces: list[Run], first: int, last: int) -> Run:
    """Extents [first, last) of pieces in a row, which one of them holds."""
    at = 0
    for piece in pieces:
        if at <= first and last <= at + piece.count:
            return part_of_run(piece, first - at, last - at)
        at += piece.count
    raise AssertionError("rows are cut where pieces end")
