"""A device of a group is replaced: the next step follows from what there is.

Nothing is remembered besides the group itself and what the kernel says, so a replacement that was cut short goes on by
the same command, from wherever it is.

Of a device that is there everything is moved to others. Of one that is lost the legs of raid sets get new places and
are rebuilt from the other legs. When nothing needs it any more it leaves the group, its metadata, and its label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from drystone.base.errors import MismatchError, RefusedError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Raid
from drystone.dvm.metadata import devices as device_mutators
from drystone.dvm.metadata import move
from drystone.dvm.metadata.edit import Ids
from drystone.dvm.metadata.raid import repair, settled
from drystone.dvm.planning.progress import busy_sets, rebuilt_sets
from drystone.dvm.reports.live import Live, copied, moved_volumes

Act = Literal["move", "finish-move", "repair", "settle", "wait", "drop"]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What comes next. :ivar what: in words. :ivar done: of a wait, how many hundredths are copied."""

    act: Act
    what: str
    volumes: tuple[str, ...] = ()
    done: int = 0


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `dvm replace` prints.

    :ivar steps: what was done, or with `dry_run` what would be done first. :ivar done: nothing is left to do.
    """

    schema: Literal["drystone.dvm.replacement"] = "drystone.dvm.replacement"
    version: Literal[1] = 1
    group: str
    device: str
    steps: tuple[str, ...] = ()
    done: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    :ivar device: uuid of the device that is to go. :ivar is_lost: it is not there, or is not to be read any more.
    :ivar targets: uuids, paths or @TAGs of devices that what is on it goes to; none for all others.
    """

    device: str
    is_lost: bool = False
    targets: tuple[str, ...] = ()
    policy: str = "anywhere"


def next_step(group: Group, wish: Wish, live: Live) -> Step:
    """What is to be done now, of a group that still has the device.

    :raises RefusedError: something is on a lost device alone. :raises MismatchError: a move leads to the device.
    """
    index = Index(group)
    name = index.devices[wish.device].path or wish.device
    arriving = [volume.name for volume in group.volumes if any(_to(volume, wish.device))]
    if arriving:
        raise MismatchError(
            f"{', '.join(arriving[:8])}: extents are being moved to {name}",
            hint="dvm metadata move --abort, or --finish, for these first",
        )
    staying = _staying(group, wish.device)
    moving = [volume.name for volume in group.volumes if any(_from(volume, wish.device))]
    if wish.is_lost:
        return _next_of_lost(index, live, name, [*staying, *moving])
    if staying:
        return Step("move", f"what is on {name} begins to move to other devices", tuple(staying))
    waiting = [each for each in moving if each not in moved_volumes(group, live)]
    if waiting:
        return Step("wait", f"{', '.join(waiting)} is being copied", tuple(waiting), _share(live, "mirror"))
    if moving:
        return Step("finish-move", f"{', '.join(moving)} has moved", tuple(moving))
    return Step("drop", f"{name} leaves the group")


def _next_of_lost(index: Index, live: Live, name: str, holding: Sequence[str]) -> Step:
    """Of a device that cannot be read. :param holding: names of what has extents on it."""
    sets: dict[str, None] = {}
    alone: dict[str, None] = {}
    for each in holding:
        volume = index.by_name[each]
        owner = index.volumes.get(volume.part_of or "")
        if isinstance(owner, Raid):
            sets[owner.name] = None
        else:
            alone[index.root(volume).name] = None
    if alone:
        raise RefusedError(
            f"{', '.join(alone)} {'was' if len(alone) == 1 else 'were'} on {name} alone, or in part",
            hint="remove what is lost first: dvm metadata remove",
            volumes=list(alone),
        )
    busy = [each for each in sets if each in busy_sets(index.group, live)]
    if busy:
        # Stopped as its sync begins, a set can bring the kernel down.
        return Step("wait", f"{', '.join(busy)} is being synchronised", tuple(busy), _share(live, "raid"))
    if sets:
        return Step("repair", f"{', '.join(sets)} gets new legs for those on {name}", tuple(sets))
    rebuilding = [
        each.name for each in index.group.volumes if isinstance(each, Raid) and any(leg.rebuild for leg in each.legs)
    ]
    waiting = [each for each in rebuilding if each not in rebuilt_sets(index.group, live)]
    if waiting:
        return Step("wait", f"{', '.join(waiting)} is being rebuilt", tuple(waiting), _share(live, "raid"))
    if rebuilding:
        return Step("settle", f"{', '.join(rebuilding)} is rebuilt", tuple(rebuilding))
    return Step("drop", f"{name} leaves the group")


def carry_out(group: Group, step: Step, wish: Wish, ids: Ids) -> Group:
    """The group after the step; `wait` changes nothing.

    :raises ExhaustedError: there is no room on the other devices. :raises RefusedError: too many legs are lost.
    """
    return ACTS[step.act](group, step, wish, ids)


def _move(group: Group, step: Step, wish: Wish, _ids: Ids) -> Group:
    closed = device_mutators.change_device(group, wish.device, allocatable=False)
    return move.begin(closed, wish.device, volumes=step.volumes, policy=wish.policy, devices=wish.targets)


def _finish(group: Group, step: Step, _wish: Wish, _ids: Ids) -> Group:
    return move.finish(group, None, volumes=step.volumes)


def _repair(group: Group, step: Step, wish: Wish, ids: Ids) -> Group:
    group = device_mutators.change_device(group, wish.device, allocatable=False)
    for name in step.volumes:
        group = repair(group, name, [wish.device], ids, policy=wish.policy, devices=wish.targets)
    return group


def _settle(group: Group, step: Step, _wish: Wish, _ids: Ids) -> Group:
    for name in step.volumes:
        group = settled(group, name)
    return group


def _wait(group: Group, _step: Step, _wish: Wish, _ids: Ids) -> Group:
    return group


def _drop(group: Group, _step: Step, wish: Wish, _ids: Ids) -> Group:
    return device_mutators.drop_device(group, wish.device)


ACTS: dict[Act, Callable[[Group, Step, Wish, Ids], Group]] = {
    "move": _move,
    "finish-move": _finish,
    "repair": _repair,
    "settle": _settle,
    "wait": _wait,
    "drop": _drop,
}
"""What an act does to the group."""


def _staying(group: Group, device: str) -> list[str]:
    """Names of the volumes that have extents on the device, and are not moving from there."""
    return [
        volume.name for volume in group.volumes if any(run.device == device and run.to is None for run in volume.runs())
    ]


def _from(volume: AnyVolume, device: str) -> list[bool]:
    return [True for run in volume.runs() if run.device == device and run.to is not None]


def _to(volume: AnyVolume, device: str) -> list[bool]:
    return [True for run in volume.runs() if run.to is not None and run.to.device == device]


def _share(live: Live, kind: str) -> int:
    """How many hundredths of all that these targets copy are done."""
    pairs = [
        pair for device in live.devices for each in device.targets if each.target == kind if (pair := copied(each))
    ]
    whole = sum(pair[1] for pair in pairs)
    return sum(pair[0] for pair in pairs) * 100 // whole if whole else 0
