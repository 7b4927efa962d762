"""The tables that stand for a dlv on its ihost, and for a leg on its dpv, as documents of drystone.dvm.state.

On the ihost, from below: legs (iSCSI disks) -> a mirror each (dm-mirror with a log on a device of its own; linear where
there is one copy only, and none on its way) -> stripe over the mirrors of a group -> groups one after the other as
`metadata` and `data` -> thin pool -> thin device -> the final device, whose name is the volume's. Sectors are of 512
bytes.

A mirror, by what is known of its legs (see in_sync):

    all in sync            disk LOG RS [nosync] N A 0 B 0 1 handle_errors
    one left               disk LOG RS 2 A 0 gone 0                        the kernel notes what the absent leg misses
    one and copies to it   disk LOG RS N A 0 B 0 1 handle_errors           the log says what is to be copied
    three legs, copying    the same, with a device of its own, `whole`, for those in sync as the first leg: a region
                           that is not copied yet is written to the first leg only, which so stays as many copies as
                           there were. When one of those fails, `whole` alone is swapped: the device above it has
                           writes in it that `whole` holds, and could not be suspended

Between the thin device of a clone and its final device stands a dm-clone, until all is copied (see cloning).

Devices outside of the document are paths that the agent turns into numbers: /dev/drystone/leg/ID, the iSCSI disk of a
leg; /dev/drystone/log/DLV/MIRROR, the device with a mirror's log; /dev/drystone/slice/ID, the slice of a dpv's disk;
/dev/drystone/snapshot/DLV/THIN, a snapshot of another dlv.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from drystone.base.sizes import SECTOR
from drystone.cluster.model import cloning
from drystone.cluster.model.dlv import COPIED_ID, Dlv, Group, Leg, MirrorKey, Role, Source
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.in_sync import Assembly
from drystone.dvm.clone import BATCH, THRESHOLD
from drystone.dvm.state import Device, Line, State, Transaction
from drystone.kernel.dm import legs as dm
from drystone.kernel.dm.clone import Clone
from drystone.kernel.dm.targets import Error, Linear, Target, Thin, ThinPool

REGION = 2048
"""Sectors of a region of a mirror: 1 MiB."""
CLONE_PART = "clone"
"""The part of a dlv that its dm-clone is: its UUID ends so."""
LOW_WATER = 4 * EXTENT
"""Bytes of a pool that are free when it asks for another group."""

_SECTORS_AN_EXTENT = EXTENT // SECTOR


def leg_path(leg: str) -> str:
    """Where the agent of the ihost finds the disk of a leg."""
    return f"/dev/drystone/leg/{leg}"


def log_path(dlv: str, mirror: str) -> str:
    """Where the agent of the ihost has the log of a mirror."""
    return f"/dev/drystone/log/{dlv}/{mirror}"


def slice_path(leg: str) -> str:
    """Where the agent of the dpv has the slice of its disk that a leg is."""
    return f"/dev/drystone/slice/{leg}"


def snapshot_path(dlv: str, thin_id: int) -> str:
    """Where the agent of the ihost finds a snapshot of another dlv."""
    return f"/dev/drystone/snapshot/{dlv}/{thin_id}"


def dpv_state(legs: Collection[Leg]) -> State:
    """A linear device for each leg on a dpv: other layers are put under it by a reload."""
    return State(
        tuple(
            _device(f"drystone-leg-{leg.id}", f"leg-{leg.id}", leg.extents * _SECTORS_AN_EXTENT,
                    Linear(slice_path(leg.id)))
            for leg in legs
        )
    )  # fmt: skip


def ihost_state(dlv: Dlv, assemblies: Mapping[MirrorKey, Assembly]) -> State:
    """All devices of an attached dlv, and of those of its snapshots that are opened.

    The volume and its snapshots are devices `...:thinN`, N the thin id. A group of which there are no assemblies is not
    in use yet. While a rollback is to be told to the pool, or the volume is filled from a backup, nobody can open it:
    there is no final device.
    """
    devices: list[Device] = []
    groups = tuple(group for group in dlv.groups if group.mirrors[0] in assemblies)
    for group in groups:
        for key in group.mirrors:
            devices += _mirror(dlv, assemblies[key], group)
    for role in ("metadata", "data"):
        devices.append(_joined(dlv, groups, role))
    pool = ThinPool(
        _reference(dlv, "metadata"),
        _reference(dlv, "data"),
        dlv.block,
        LOW_WATER // SECTOR // dlv.block,
    )
    data = sum(group.size for group in groups if group.role == "data") // SECTOR
    transaction = Transaction(dlv.transaction_id, dlv.messages)
    devices.append(_part(dlv, "pool", data // dlv.block * dlv.block, pool, transaction))
    if dlv.rollback is None:
        devices.append(_thin(dlv, dlv.thin_id, dlv.size))
    for each in dlv.snapshots:
        if each.opened and each.status in {"creating", "available"}:
            devices.append(replace(_thin(dlv, each.thin_id, each.size), read_only=True))
    if dlv.rollback is None and dlv.restore is None:
        devices += _final(dlv)
    return State(tuple(devices))


def is_plain(dlv: Dlv, assembly: Assembly) -> bool:
    """Whether a mirror has one copy, and none on its way: it is linear, and has no log."""
    return dlv.mirrors == 1 and len(assembly.sources) == 1 and not assembly.targets


def thin_part(thin_id: int) -> str:
    """The part of a dlv that a thin device in its pool is: its UUID ends so."""
    return f"thin{thin_id}"


def _thin(dlv: Dlv, thin_id: int, size: int) -> Device:
    return _part(dlv, thin_part(thin_id), size // SECTOR, Thin(_reference(dlv, "pool"), thin_id))


def _final(dlv: Dlv) -> list[Device]:
    """The device that the volume's user opens, after the dm-clone under it, if there is one."""
    devices, below = [], thin_part(dlv.thin_id)
    if dlv.source is not None and cloning.is_copying(dlv):
        devices, below = _clone(dlv, dlv.source), CLONE_PART
    final = Linear(_reference(dlv, below))
    return [*devices, _device(f"drystone-dlv-{dlv.name}", f"{dlv.id}-volume", dlv.size // SECTOR, final)]


def _clone(dlv: Dlv, source: Source) -> list[Device]:
    """The dm-clone over the volume's thin device, after the one with its notes."""
    target = Clone(
        _reference(dlv, thin_part(COPIED_ID)),
        _reference(dlv, thin_part(dlv.thin_id)),
        snapshot_path(source.dlv, source.thin_id),
        cloning.region_of(dlv.size),
        threshold=THRESHOLD,
        batch=BATCH,
    )
    notes = _thin(dlv, COPIED_ID, cloning.notes_size(dlv.size))
    return [notes, _part(dlv, CLONE_PART, dlv.size // SECTOR, target)]


def _mirror(dlv: Dlv, assembly: Assembly, group: Group) -> list[Device]:
    """The device of a mirror, after those below it."""
    length = group.extents * _SECTORS_AN_EXTENT
    name = str(assembly.mirror)
    sources = tuple(dm.Leg(leg_path(leg)) for leg in assembly.sources)
    targets = tuple(dm.Leg(leg_path(leg)) for leg in assembly.targets)
    log = log_path(dlv.id, name)
    sync = "nosync" if assembly.bits == "nosync" else ""
    if is_plain(dlv, assembly):
        return [_part(dlv, name, length, Linear(sources[0].device))]
    if len(sources) == 1 and not targets:
        gone = f"{name}.gone"
        alone = dm.Mirror((*sources, dm.Leg(_reference(dlv, gone))), REGION, log, sync)
        return [_part(dlv, gone, length, Error()), _part(dlv, name, length, alone)]
    if not dlv.is_deep(assembly.mirror) or not targets:
        whole = dm.Mirror((*sources, *targets), REGION, log, sync, handle_errors=True)
        return [_part(dlv, name, length, whole)]
    inner = f"{name}.whole"
    inside: Target = Linear(sources[0].device)
    if len(sources) > 1:
        inside = dm.Mirror(sources, REGION, log, handle_errors=True)
    legs = (dm.Leg(_reference(dlv, inner)), *targets)
    copying = dm.Mirror(legs, REGION, log_path(dlv.id, f"{name}.copy"), handle_errors=True)
    return [_part(dlv, inner, length, inside), _part(dlv, name, length, copying)]


def _joined(dlv: Dlv, groups: Sequence[Group], role: Role) -> Device:
    """The groups of a role, one after the other."""
    lines: list[Line] = []
    start = 0
    for group in groups:
        if group.role != role:
            continue
        references = [_reference(dlv, str(key)) for key in group.mirrors]
        target: Target = Linear(references[0])
        if len(references) > 1:
            target = dm.Striped(dlv.chunk, tuple(dm.Leg(each) for each in references))
        length = group.size // SECTOR
        lines.append(Line(start, length, target.kind, target.to_params()))
        start += length
    return Device(_name(dlv, role), _uuid(f"{dlv.id}-{role}"), tuple(lines))


def _part(dlv: Dlv, part: str, length: int, target: Target, transaction: Transaction | None = None) -> Device:
    return _device(_name(dlv, part), f"{dlv.id}-{part}", length, target, transaction)


def _device(name: str, uuid: str, length: int, target: Target, transaction: Transaction | None = None) -> Device:
    table = (Line(0, length, target.kind, target.to_params()),)
    return Device(name, _uuid(uuid), table, transaction=transaction)


def mirror_name(dlv: Dlv, mirror: MirrorKey) -> str:
    """The device of a mirror."""
    return _name(dlv, str(mirror))


def _name(dlv: Dlv, part: str) -> str:
    """No volume's name has a colon, so that no part of one has the name of another."""
    return f"drystone-dlv-{dlv.name}:{part}"


def _reference(dlv: Dlv, part: str) -> str:
    return f"{{{_name(dlv, part)}}}"


def _uuid(what: str) -> str:
    return f"DRYSTONE-CLUSTER-{what}"
