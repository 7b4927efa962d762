"""What agents are asked for: the calls that bring a dlv to a state, each with the exact tables. Nothing is sent here.

Every call is a PUT of what is wanted, with an epoch. An agent keeps the highest epoch of each dlv on disk, refuses
older ones, brings the kernel there and answers what it sees; the same call again is harmless. Beside it stands the
epoch of the sets, which no request raises: of a record that was put back, and has counted on, that is the smaller one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from drystone.cluster.model.cloning import is_copying
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.dpv import Dpv, Ihost
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.in_sync import Assembly, Bits
from drystone.cluster.model.tables import REGION, dpv_state, ihost_state, is_plain, log_path
from drystone.dvm.state import State


class Export(Struct, frozen=True):
    """A leg as its dpv is to have it.

    :ivar secret: of CHAP, with the leg's id as the name; "" in a preview.
    :ivar size: bytes. :ivar wipe: its first block is zeroed when it is made: what a pool's metadata would be taken for.
    :ivar target: its iSCSI name. :ivar initiators: who is let in; nobody else is, and whoever was is shut out.
    :ivar make: it is made where it is not there. Otherwise it is recorded as made, and may be the one with all
        acknowledged writes: an empty one in its place would be taken for it.
    """

    leg: str
    size: int
    wipe: bool
    target: str
    secret: str
    initiators: tuple[str, ...]
    make: bool = False


class LegsWish(Struct, frozen=True, tag_field="kind", tag="legs"):
    """What a dpv is to have of a dlv: all its legs there.

    :ivar state: the devices for them. :ivar set_epoch: see `Dlv`.
    """

    dlv: str
    epoch: int
    exports: tuple[Export, ...]
    state: State
    set_epoch: int = 0


class Disk(Struct, frozen=True):
    """A leg as its ihost gets at it. :ivar portal: HOST:PORT. :ivar secret: of CHAP; "" in a preview."""

    leg: str
    portal: str
    target: str
    secret: str


class Log(Struct, frozen=True):
    """The log of a mirror.

    :ivar path: as the tables name it. :ivar regions: that it has bits for. :ivar bits: before the table is loaded.
    """

    path: str
    regions: int
    bits: Bits


class SnapshotKey(Struct, frozen=True):
    """A snapshot of another dlv at the same ihost. :ivar dlv: its id. :ivar thin_id: of the snapshot, in its pool."""

    dlv: str
    thin_id: int


class VolumeWish(Struct, frozen=True, tag_field="kind", tag="volume"):
    """What an ihost is to have of a dlv.

    :ivar attachment: the epoch in which the dlv was given to it: the logs in its memory are of one attachment.
    :ivar fill: not 0: the file system on the final device is to grow to its size, once for each number.
    :ivar source: what it is copied from, None when from nothing. :ivar set_epoch: see `Dlv`.
    """

    dlv: str
    epoch: int
    attachment: int
    disks: tuple[Disk, ...]
    logs: tuple[Log, ...]
    state: State
    fill: int = 0
    source: SnapshotKey | None = None
    set_epoch: int = 0


class Call(Struct, frozen=True):
    """One call of an agent. :ivar host: name of the dpv or ihost, :ivar address: HOST:PORT of its agent."""

    host: str
    address: str
    method: str
    path: str
    body: LegsWish | VolumeWish


def target_name(leg: str) -> str:
    """The iSCSI name that a leg is exported by."""
    return f"iqn.2026-11.cluster.drystone:leg-{leg}"


def export_calls(
    dlv: Dlv, dpvs: Mapping[str, Dpv], initiators: Collection[str] = (), secrets: Mapping[str, str] | None = None
) -> tuple[Call, ...]:
    """The calls by which dpvs have the dlv's legs, and let `initiators` in: one a dpv, in the order of their names.

    :param secrets: of the legs, by their ids; None in a preview.
    """
    calls = []
    metadata = {group.number for group in dlv.groups if group.role == "metadata"}
    for name in sorted({leg.dpv for leg in dlv.legs}):
        legs = [leg for leg in dlv.legs if leg.dpv == name]
        exports = tuple(
            Export(
                leg.id,
                leg.extents * EXTENT,
                leg.group in metadata,
                target_name(leg.id),
                secrets[leg.id] if secrets else "",
                tuple(sorted(initiators)),
                leg.status != "ready",
            )
            for leg in legs
        )
        wish = LegsWish(dlv.id, dlv.epoch, exports, dpv_state(legs), dlv.set_epoch)
        calls.append(Call(name, dpvs[name].address, "PUT", f"/v1/dlvs/{dlv.id}", wish))
    return tuple(calls)


def removal_calls(dlv: Dlv, dpvs: Mapping[str, Dpv]) -> tuple[Call, ...]:
    """The calls by which dpvs have no leg of the dlv any more."""
    nothing = withdrawal_of_legs(dlv.id, dlv.epoch, dlv.set_epoch)
    return tuple(
        Call(name, dpvs[name].address, "PUT", f"/v1/dlvs/{dlv.id}", nothing)
        for name in sorted({leg.dpv for leg in dlv.legs})
    )


def withdrawal_of_legs(dlv: str, epoch: int, set_epoch: int) -> LegsWish:
    """That a dpv is to have no leg of a dlv (its id) any more. :param set_epoch: `epoch` of one that was deleted."""
    return LegsWish(dlv, epoch, (), dpv_state(()), set_epoch)


def withdrawal_of_volume(dlv: str, epoch: int, attachment: int, set_epoch: int) -> VolumeWish:
    """That an ihost is to have nothing of a dlv (its id) any more.

    :param attachment: the one that ends, whose writes are flushed; `epoch` says that what is there is void.
    :param set_epoch: `epoch` of a dlv that was deleted.
    """
    return VolumeWish(dlv, epoch, attachment, (), (), State(), set_epoch=set_epoch)


def volume_wish(
    dlv: Dlv, assemblies: Collection[Assembly], dpvs: Mapping[str, Dpv], secrets: Mapping[str, str] | None = None
) -> VolumeWish:
    """An attached dlv, put together as `assemblies` say. :param secrets: as for `export_calls`."""
    used = {leg for each in assemblies for leg in (*each.sources, *each.targets)}
    disks = tuple(
        Disk(leg.id, dpvs[leg.dpv].portal, target_name(leg.id), secrets[leg.id] if secrets else "")
        for leg in dlv.legs
        if leg.id in used
    )  # fmt: skip
    state = ihost_state(dlv, {each.mirror: each for each in assemblies})
    logs = tuple(log for each in assemblies for log in _logs(dlv, each))
    assert dlv.attachment is not None, "attached"
    source = SnapshotKey(dlv.source.dlv, dlv.source.thin_id) if dlv.source and is_copying(dlv) else None
    return VolumeWish(
        dlv=dlv.id,
        epoch=dlv.epoch,
        attachment=dlv.attachment.epoch,
        disks=disks,
        logs=logs,
        state=state,
        fill=dlv.fill,
        source=source,
        set_epoch=dlv.set_epoch,
    )


def volume_call(dlv: Dlv, wish: VolumeWish, ihost: Ihost) -> Call:
    """The call by which an ihost has the dlv."""
    return Call(ihost.name, ihost.address, "PUT", f"/v1/dlvs/{dlv.id}", wish)


def _logs(dlv: Dlv, assembly: Assembly) -> tuple[Log, ...]:
    """The logs that the tables of a mirror name."""
    if is_plain(dlv, assembly):
        return ()
    group = dlv.groups[assembly.mirror.group]
    regions = -(-group.extents * EXTENT // (REGION * 512))
    path = log_path(dlv.id, str(assembly.mirror))
    if not dlv.is_deep(assembly.mirror) or not assembly.targets:
        return (Log(path, regions, assembly.bits),)
    copying = Log(log_path(dlv.id, f"{assembly.mirror}.copy"), regions, assembly.bits)
    return (copying,) if len(assembly.sources) == 1 else (Log(path, regions, "clean"), copying)
