"""From a group document to the device-mapper devices that it stands for.

`activate` gives the desired state, which `dmactivate` compares with what is there. A device is called `GROUP-VOLUME`
(hyphens doubled), and its uuid is DRYSTONE-DVM-<group>-<volume>, so that a rename is one and not a new device. A volume
with classic snapshots has two: `-real` is what it was, and the origin target over it carries its name (a merge target,
while one of them is merged into it; that snapshot has no device then).

Devices that are missing: a volume that cannot be whole without one is left out, and so is all that needs it, and the
origin of a snapshot that cannot be kept up. Nothing is put in the place of what is missing. A raid set that holds all
of its data without the lost legs goes on without them.

`blanks` says what must be zeros before new volumes are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from drystone.base.errors import RefusedError, UsageError
from drystone.base.sizes import SECTOR
from drystone.dvm.discovery.devices import Devices
from drystone.dvm.groups.allocation import free_room
from drystone.dvm.groups.group import Group, Index, device_name, uuid_prefix
from drystone.dvm.groups.kinds import (
    AnyVolume,
    Cache,
    Crypt,
    Era,
    Linear,
    Raid,
    Raid1,
    Raid5,
    Raid6,
    Raid10,
    Run,
    Snapshot,
    Striped,
    Thin,
    ThinPool,
)
from drystone.dvm.instructions import AnyInstruction, Flush, Write
from drystone.dvm.metadata.raid import survives
from drystone.dvm.program import Program
from drystone.dvm.state import Device, Line, State, Transaction
from drystone.kernel.dm import targets
from drystone.kernel.dm.targets import Target

REAL = "real"
"""Suffix of the device below a volume that has classic snapshots."""
BLANK = 8192
"""Bytes that are zeros at the beginning of what is new: two pages, for a superblock and the one of a bitmap."""
_MIRROR_REGION = 1 << 20
_RAID_NAMES: dict[type, str] = {Raid1: "raid1", Raid5: "raid5_ls", Raid6: "raid6_zr", Raid10: "raid10"}
_LATE = {targets.Raid.kind: 1, targets.SnapshotOrigin.kind: 2, targets.SnapshotMerge.kind: 2}
"""Which devices come late in a state: a program keeps that order where tables leave it open.

Origins come last. When one is resumed it learns from the snapshots that are there at which chunks it must split writes
(Linux 6.1, dm-snap.c, origin_resume): resumed before them, it saves the first chunk of a longer write only. Raid sets
come late, so that little can fail after one was started: stopped as its sync begins, it can bring the kernel down.
"""

Paths = Mapping[str, str]
"""Device uuid -> path or major:minor, of those that are there."""


class LeftOut(msgspec.Struct, frozen=True):
    """A volume that is not activated: `missing` are the uuids of devices that it cannot be without."""

    name: str
    missing: tuple[str, ...]


class Activation(msgspec.Struct, frozen=True):
    """The desired state, and what is not in it.

    :ivar degraded: raid sets that go on without the legs on these devices.
    """

    state: State
    left_out: tuple[LeftOut, ...] = ()
    degraded: tuple[LeftOut, ...] = ()


class Blank(msgspec.Struct, frozen=True):
    """Bytes [offset, offset + length) of the device at `path` are to be zeros."""

    path: str
    offset: int
    length: int


def paths_of(group: Group, devices: Devices | None = None) -> dict[str, str]:
    """Where the group's devices are: as was found out, or, without that, as the group's hints say."""
    if devices is None:
        return {device.uuid: device.path for device in group.devices if device.path}
    return {device.uuid: device.path for device in devices.present}


def activate(
    group: Group,
    paths: Paths,
    *,
    only: Iterable[str] | None = None,
    pools: int | None = None,
    without: Iterable[str] = (),
) -> Activation:
    """The devices of all volumes, or of those named in `only` and what they need.

    :param group: checked.
    :param pools: of the thin pools that have messages, only so many, the first ones; None for all. A program wakes one
        such pool at a time: see `pools_with_messages`.
    :param without: uuids of volumes that are not wanted, nor what needs them.
    :raises NotFoundError: a name in `only` is no volume's.
    """
    index = Index(group)
    wanted = _wanted(index, only)
    if pools is not None:
        wanted -= _above(index, pools_with_messages(group)[pools:])
    wanted -= _above(index, without)
    lost = _lost(index, paths)
    chosen = [volume for volume in group.volumes if volume.uuid in wanted]
    maker = _Maker(index, paths, set(lost))
    devices = [device for volume in chosen if volume.uuid not in lost for device in maker.devices(volume)]
    devices.sort(key=lambda device: _LATE.get(device.table[0].target, 0))
    state = State(tuple(devices))
    left_out = [LeftOut(each.name, tuple(sorted(lost[each.uuid]))) for each in chosen if each.uuid in lost]
    shown = [each for each in left_out if index.by_name[each.name].part_of is None]
    degraded = [
        LeftOut(each.name, tuple(sorted(gone)))
        for each in chosen
        if isinstance(each, Raid) and each.uuid not in lost and (gone := _lost_legs(each, lost))
    ]
    return Activation(state, tuple(shown), tuple(degraded))


def _wanted(index: Index, only: Iterable[str] | None) -> set[str]:
    if only is None:
        return set(index.volumes)
    found: set[str] = set()
    waiting = [index.find(name).uuid for name in only]
    while waiting:
        uuid = waiting.pop()
        if uuid not in found:
            found.add(uuid)
            waiting += index.volumes[uuid].needs()
            # An origin that is written to without its snapshots would make them wrong.
            waiting += [user.uuid for user in index.users(uuid) if isinstance(user, Snapshot)]
    return found


def pools_with_messages(group: Group) -> tuple[str, ...]:
    """uuids of the thin pools whose last transaction has messages.

    When nobody knows yet whether they were sent, as after a restart, `dmactivate` takes one such pool a program. So a
    group with several is activated in steps: with 1 of them, with 2, and so on.
    """
    return tuple(volume.uuid for volume in group.volumes if isinstance(volume, ThinPool) and volume.messages)


def list_users(group: Group, names: Iterable[str]) -> set[str]:
    """uuids of the volumes of these names, of their parts, and of all that stands on them.

    :raises NotFoundError: a name is no volume's.
    """
    index = Index(group)
    return _above(index, (index.find(name).uuid for name in names))


def _above(index: Index, uuids: Iterable[str]) -> set[str]:
    """These volumes, their parts, and all that need them."""
    found: set[str] = set()
    waiting = [part.uuid for uuid in uuids for part in index.tree(index.volumes[uuid])]
    while waiting:
        uuid = waiting.pop()
        if uuid not in found:
            found.add(uuid)
            waiting += [user.uuid for user in index.users(uuid)]
            waiting += [part.uuid for part in index.tree(index.volumes[uuid])]
    return found


def _lost(index: Index, paths: Paths) -> dict[str, set[str]]:
    """uuids of the volumes that cannot be whole -> the missing devices that are the reason."""
    found: dict[str, set[str] | None] = {}

    def look(volume: AnyVolume) -> set[str]:
        known = found.get(volume.uuid)
        if known is None:
            gone = {place.device for run in volume.runs() for place in run.places() if place.device not in paths}
            if isinstance(volume, Raid):
                bad = [at for at, leg in enumerate(volume.legs) if _gone(leg.data) | _gone(leg.metadata)]
                rebuilding = [at for at, leg in enumerate(volume.legs) if leg.rebuild]
                if not survives(volume, sorted({*bad, *rebuilding})):
                    gone |= {device for leg in volume.legs for device in _gone(leg.data) | _gone(leg.metadata)}
            else:
                gone |= {device for needed in volume.needs() for device in _gone(needed)}
            # An origin that is written to without its snapshots would make them wrong, and nobody would see it.
            stores = [user.cow for user in index.users(volume.uuid) if isinstance(user, Snapshot)]
            if volume.part_of is None:
                gone |= {device for store in stores for device in _gone(store)}
            found[volume.uuid] = known = gone
        return known

    def _gone(uuid: str) -> set[str]:
        return look(index.volumes[uuid])

    for volume in index.group.volumes:
        look(volume)
    return {uuid: gone for uuid, gone in found.items() if gone}


def _lost_legs(volume: Raid, lost: Mapping[str, set[str]]) -> set[str]:
    return {device for uuid in volume.parts() for device in lost.get(uuid, ())}


class _Maker:
    """Makes the devices of volumes that can be whole. `lost`: uuids of those that cannot."""

    def __init__(self, index: Index, paths: Paths, lost: set[str]) -> None:
        self.index = index
        self.group = index.group
        self.paths = paths
        self.lost = lost

    def devices(self, volume: AnyVolume) -> list[Device]:
        name = device_name(self.group.name, volume.name)
        uuid = f"{uuid_prefix(self.group)}{volume.uuid}"
        table = _table(TABLES[type(volume)](self, volume))
        transaction = Transaction(volume.transaction_id, volume.messages) if isinstance(volume, ThinPool) else None
        found = [
            Device(
                f"{name}-{suffix}", f"{uuid}-{suffix}", _table([(run.count * self.group.extent_size, _one(self, run))])
            )
            for suffix, run in self.moving_legs(volume)
        ]
        if isinstance(volume, Snapshot) and volume.merging:
            return []  # its store is its origin's now
        snapshots = self.snapshots(volume)
        if not snapshots:
            return [*found, Device(name, uuid, table, transaction=transaction)]
        real = f"{name}-{REAL}"
        merging = next((each for each in snapshots if each.merging), None)
        above: Target = targets.SnapshotOrigin(f"{{{real}}}")
        if merging is not None:
            above = targets.SnapshotMerge(f"{{{real}}}", self.name(merging.cow), "P", merging.chunk // SECTOR)
        return [*found, Device(real, f"{uuid}-{REAL}", table), Device(name, uuid, _table([(volume.size, above)]))]

    def moving_legs(self, volume: AnyVolume) -> Iterator[tuple[str, Run]]:
        """Runs of stripes that are being moved, with the suffix of the device that does it: stripes hold no mirrors."""
        if isinstance(volume, Striped):
            order = {device.uuid: at for at, device in enumerate(self.group.devices)}
            for run in volume.runs():
                if run.to is not None:
                    yield f"move.{order[run.device]}.{run.begin}", run

    def snapshots(self, volume: AnyVolume) -> list[Snapshot]:
        """Its classic snapshots."""
        users = self.index.users(volume.uuid)
        return [user for user in users if isinstance(user, Snapshot) and user.origin == volume.uuid]

    def name(self, uuid: str) -> str:
        """How a table refers to a volume of the group."""
        return f"{{{device_name(self.group.name, self.index.volumes[uuid].name)}}}"

    def leg(self, device: str, begin: int) -> targets.Leg:
        """Extents from `begin` on, as a table writes them."""
        offset = self.index.devices[device].start + begin * self.group.extent_size
        return targets.Leg(_checked(self.paths[device]), offset // SECTOR)


def _checked(path: str) -> str:
    if not path.isprintable() or any(c in path for c in " {}\\"):
        raise UsageError(
            f"{path!r} cannot stand in a table", hint="name the device by a path without blanks and braces"
        )
    return path


def _table(parts: Iterable[tuple[int, Target]]) -> tuple[Line, ...]:
    """Lines one after the other. The sizes are bytes."""
    lines: list[Line] = []
    start = 0
    for size, target in parts:
        lines.append(Line(start, size // SECTOR, target.kind, target.to_params()))
        start += size // SECTOR
    return tuple(lines)


Parts = list[tuple[int, Target]]


def _linear(maker: _Maker, volume: Linear) -> Parts:
    return [(run.count * maker.group.extent_size, _one(maker, run)) for run in volume.segments]


def _one(maker: _Maker, run: Run) -> Target:
    leg = maker.leg(run.device, run.begin)
    if run.to is None:
        return targets.Linear(*leg)
    region = min(_MIRROR_REGION, maker.group.extent_size) // SECTOR
    return targets.Mirror((leg, maker.leg(run.to.device, run.to.begin)), region, handle_errors=True)


def _striped(maker: _Maker, volume: Striped) -> Parts:
    parts: Parts = []
    name = device_name(maker.group.name, volume.name)
    moving = {run: targets.Leg(f"{{{name}-{suffix}}}") for suffix, run in maker.moving_legs(volume)}
    for row in volume.rows:
        size = row.legs[0].count * len(row.legs) * maker.group.extent_size
        legs = tuple(moving.get(run) or maker.leg(run.device, run.begin) for run in row.legs)
        parts.append((size, targets.Striped(volume.chunk // SECTOR, legs)))
    return parts


def _raid(maker: _Maker, volume: Any) -> Parts:
    legs, options = [], []
    for at, leg in enumerate(volume.legs):
        if maker.lost & {leg.data, leg.metadata}:
            legs.append(targets.RaidLeg("-", "-"))
            continue
        legs.append(targets.RaidLeg(maker.name(leg.metadata), maker.name(leg.data)))
        if leg.rebuild:
            options.append(("rebuild", str(at)))
    if volume.nosync and not options:
        options.append(("nosync", ""))
    options.append(("region_size", str(volume.region // SECTOR)))
    chunk = volume.chunk_size // SECTOR
    return [(volume.size, targets.Raid(_RAID_NAMES[type(volume)], chunk, tuple(legs), tuple(options)))]


def _thin_pool(maker: _Maker, pool: ThinPool) -> Parts:
    target = targets.ThinPool(
        maker.name(pool.metadata),
        maker.name(pool.data),
        pool.block // SECTOR,
        pool.low_water // pool.block,
        skip_block_zeroing=pool.no_zeroing,
        error_if_no_space=pool.error_if_full,
    )
    return [(pool.size, target)]


def _thin(maker: _Maker, volume: Thin) -> Parts:
    return [(volume.size, targets.Thin(maker.name(volume.pool), volume.dev_id))]


def _snapshot(maker: _Maker, volume: Snapshot) -> Parts:
    origin = f"{maker.name(volume.origin)[:-1]}-{REAL}}}"
    return [(volume.size, targets.Snapshot(origin, maker.name(volume.cow), "P", volume.chunk // SECTOR))]


def _cache(maker: _Maker, volume: Cache) -> Parts:
    fast, base, metadata = (maker.name(uuid) for uuid in (volume.fast, volume.base, volume.metadata))
    features = ("metadata2", volume.mode)
    return [(volume.size, targets.Cache(metadata, fast, base, volume.block // SECTOR, features, volume.policy))]


def _era(maker: _Maker, volume: Era) -> Parts:
    return [(volume.size, targets.Era(maker.name(volume.metadata), maker.name(volume.base), volume.block // SECTOR))]


def _crypt(maker: _Maker, volume: Crypt) -> Parts:
    key = f":{volume.key_size}:{volume.key}"
    return [(volume.size, targets.Opaque("crypt", (volume.cipher, key, "0", maker.name(volume.base), "0")))]


TABLES: dict[type, Callable[[_Maker, Any], Parts]] = {
    Linear: _linear,
    Striped: _striped,
    **dict.fromkeys(_RAID_NAMES, _raid),
    ThinPool: _thin_pool,
    Thin: _thin,
    Snapshot: _snapshot,
    Cache: _cache,
    Era: _era,
    Crypt: _crypt,
}
"""A kind -> the targets of its table, each with its bytes."""


def blanks(before: Group | None, after: Group, paths: Paths) -> list[Blank]:
    """What must be zeros before the volumes that are new in `after` are used for the first time.

    That is the beginning of every new part that the kernel keeps records in, which must not find old ones there, and
    the beginning of every new volume's data, where nobody shall find an old file system.

    A piece that is on a device without a path is left out: its volume cannot be activated either.

    :raises RefusedError: it would wipe what a volume of `before` still holds, should `after` not be committed.
    """
    old = Index(before) if before is not None else None
    free = {} if before is None else free_room(before)
    index = Index(after)
    found: list[Blank] = []
    for volume in after.volumes:
        owner = index.volumes.get(volume.part_of or "")
        is_record = owner is not None and volume.uuid in owner.blank_parts()
        known_as = volume.uuid if is_record else index.root(volume).uuid
        first = next(volume.runs(), None)
        if first is None or (old is not None and known_as in old.volumes) or first.device not in paths:
            continue
        heads = next(iter(volume.rows)).legs if isinstance(volume, Striped) else (first,)
        for run in heads:
            if run.device in paths:
                holes = free.get(run.device, [(0, run.end)])
                if not any(begin <= run.begin < end for begin, end in holes):
                    raise RefusedError(
                        f"{volume.name} would begin where another volume of {after.name} still is",
                        hint="remove that one in a transaction of its own",
                        volume=volume.name,
                    )
                offset = index.devices[run.device].start + run.begin * after.extent_size
                found.append(Blank(paths[run.device], offset, min(BLANK, after.extent_size)))
    return found


def blanking(wanted: Iterable[Blank]) -> Program:
    """The program that writes these zeros, durably. It is run before the one that `dmactivate` makes."""
    code: list[AnyInstruction] = []
    paths: dict[str, None] = {}
    for blank in wanted:
        code.append(Write(blank.path, blank.offset, bytes(blank.length).hex()))
        paths[blank.path] = None
    return Program((*code, *(Flush(path) for path in paths)))
