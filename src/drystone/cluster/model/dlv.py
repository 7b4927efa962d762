"""A dlv and what it is made of: groups of mirrors of legs, and the snapshots in its pool.

Group 0 holds the metadata of the thin pool; groups from 1 on are its data, one after the other. A group is a stripe
over mirrors; a mirror has as many legs as the volume has copies.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from drystone.base.errors import ExhaustedError
from drystone.cluster.model.extents import EXTENT

DlvStatus = Literal[
    "creating", "restoring", "detached", "attaching", "attached", "detaching", "fencing", "deleting", "failed"
]  # fmt: skip
"""`fencing`: its ihost does not answer, and is shut out by the dpvs before anything else. `restoring`: it is at an
ihost, or on its way there, to be filled from a backup, and nobody has a device of it.
"""
LegStatus = Literal["planned", "creating", "ready", "deleting"]
"""`planned`: no agent was told of it. `creating`, `deleting`: one was told, or may have been. `ready`: it said so."""
SnapshotStatus = Literal["planned", "creating", "available", "deleting", "failed"]
SourceStatus = Literal["copying", "whole"]
"""`whole`: the source is needed no more, and the ihost is told to do without it."""
Role = Literal["metadata", "data"]

_FLAT = 2
"""Legs of a mirror that is one device also while it copies."""

VOLUME_ID = 0
"""The thin id that a new volume has in its pool; snapshots, and the volume after a rollback, have those from 1 on."""
COPIED_ID = (1 << 24) - 1
"""In the pool of a clone, the thin id of what notes which regions are copied: the last one that there is. No snapshot
has it, and no volume.
"""


class MirrorKey(NamedTuple):
    """Which mirror of a dlv: number of the group, number of the stripe in it."""

    group: int
    stripe: int

    def __str__(self) -> str:
        return f"g{self.group}.s{self.stripe}"


class Leg(Struct, frozen=True, kw_only=True):
    """A slice of a dpv. :ivar place: its number in the mirror, from 0. :ivar extents: its length.

    :ivar in_sync: whether it holds every acknowledged write, as recorded under the dlv's epoch.
    :ivar copying: it is in no set, and the mirror of the attached dlv copies to it.
    :ivar noted: it is in no set, and the log of its mirror knows all that it lacks, in this attachment.
    :ivar instead_of: the leg of the same mirror that is given up once this one has joined; "" for none.
    """

    id: str
    group: int
    stripe: int
    place: int
    dpv: str
    extents: int
    status: LegStatus = "planned"
    in_sync: bool = True
    copying: bool = False
    noted: bool = False
    instead_of: str = ""

    @property
    def mirror(self) -> MirrorKey:
        """Which mirror it is a leg of."""
        return MirrorKey(self.group, self.stripe)


class Group(Struct, frozen=True, kw_only=True):
    """A stripe over mirrors. :ivar extents: of each leg.

    :ivar blank: nothing was ever written to it through a mirror, so that all legs are alike without a copy.
    """

    number: int
    role: Role
    stripes: int
    extents: int
    blank: bool = True

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.stripes * self.extents * EXTENT

    @property
    def mirrors(self) -> tuple[MirrorKey, ...]:
        """Its mirrors, in the order of the stripe."""
        return tuple(MirrorKey(self.number, stripe) for stripe in range(self.stripes))


class Snapshot(Struct, frozen=True, kw_only=True):
    """A snapshot in the volume's pool. :ivar thin_id: its id there. :ivar size: bytes, the volume's at that time.

    :ivar opened: it is a device of the ihost, read-only, while the dlv is attached and the snapshot there.
    :ivar temporary: it goes when nothing is copied from it any more.
    """

    id: str
    name: str
    thin_id: int
    size: int
    status: SnapshotStatus = "planned"
    reason: str = ""
    opened: bool = False
    temporary: bool = False


class Source(Struct, frozen=True, kw_only=True):
    """What a clone is copied from.

    :ivar dlv: its id, :ivar name: and its name. :ivar snapshot: the id of the snapshot, :ivar thin_id: in its pool.
    """

    dlv: str
    name: str
    snapshot: str
    thin_id: int
    status: SourceStatus = "copying"


class Rollback(Struct, frozen=True, kw_only=True):
    """That a volume is to hold what a snapshot of it does. :ivar snapshot: its id.

    :ivar thin_id: that the volume gets in its pool. Snapshots that were asked for before have smaller ones, and are of
        what the volume held until then; those with larger ones are of what it holds afterwards.
    """

    snapshot: str
    thin_id: int


class Restore(Struct, frozen=True, kw_only=True):
    """What a volume is filled from. Until all of it is there nobody gets a device of it.

    :ivar repository: as ihosts call it. :ivar volume: whose backup it is, :ivar backup: and the backup's UUID, both as
        the repository knows them. :ivar ihost: that fills it.
    """

    repository: str
    volume: str
    backup: str
    ihost: str


class Attachment(Struct, frozen=True, kw_only=True):
    """Where a dlv is attached. :ivar epoch: of the dlv when it was given to that ihost."""

    ihost: str
    epoch: int


class Dlv(Struct, frozen=True, kw_only=True):
    """A volume.

    :ivar size: bytes that its user sees. :ivar initial_size: bytes that its first data group was to hold at least.
    :ivar mirrors: copies of each byte, 1 to 3. :ivar stripes: mirrors that a group goes over. :ivar chunk: sectors of a
        stripe. :ivar block: sectors of a block of the thin pool.
    :ivar version: grows with every change of anything.
    :ivar epoch: grows with every change of who may write and of which legs are in sync.
    :ivar set_epoch: the epoch of the newest change that an old copy of the record must not count past: a leg left its
        set, a group came into use, it was given to an ihost, or taken from one by force, a transaction of its pool was
        given up. No request changes it; agents refuse a smaller one.
    :ivar clean: it was detached in order, or never attached: logs of regions may begin clean.
    :ivar wanted: the ihost that it is to be attached to, "" for none. :ivar attachment: where it is, or may be.
    :ivar transaction_id: of the thin pool, and :ivar messages: that lead there from the one before.
    :ivar thin_id: the volume's own, in its pool. :ivar rollback: one that the pool was not told of yet.
    :ivar fill: the epoch in which it was asked that the file system on it grows to its size; 0: nobody asks for it.
    :ivar source: what it is copied from, None: it is no clone, or has all of it.
    :ivar restore: the backup that it is filled from, None: from none, or all is there.
    """

    id: str
    name: str
    dvg: str
    size: int
    initial_size: int
    mirrors: int
    stripes: int
    chunk: int
    block: int
    status: DlvStatus = "creating"
    reason: str = ""
    version: int = 1
    epoch: int = 1
    set_epoch: int = 0
    clean: bool = True
    transaction_id: int = 1
    messages: tuple[str, ...] = (f"create_thin {VOLUME_ID}",)
    thin_id: int = VOLUME_ID
    rollback: Rollback | None = None
    fill: int = 0
    groups: tuple[Group, ...] = ()
    legs: tuple[Leg, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    wanted: str = ""
    attachment: Attachment | None = None
    source: Source | None = None
    restore: Restore | None = None

    def legs_of(self, mirror: MirrorKey) -> tuple[Leg, ...]:
        """The legs of a mirror, in the order of their places."""
        return tuple(sorted((leg for leg in self.legs if leg.mirror == mirror), key=lambda leg: leg.place))

    def is_deep(self, mirror: MirrorKey) -> bool:
        """Whether a mirror has more than two legs: those in sync are a device of their own while it copies."""
        return len(self.legs_of(mirror)) > _FLAT

    def snapshot(self, snapshot: str) -> Snapshot | None:
        """The snapshot of that id."""
        return next((each for each in self.snapshots if each.id == snapshot), None)

    @property
    def next_thin_id(self) -> int:
        """A thin id above all that its pool has, or is to have."""
        ids = [self.thin_id, *(each.thin_id for each in self.snapshots)]
        if self.rollback is not None:
            ids.append(self.rollback.thin_id)
        return 1 + max(ids)


def free_thin_id(dlv: Dlv) -> int:
    """For another snapshot of a dlv, or for the volume after a rollback. :raises ExhaustedError: they ran out."""
    if dlv.next_thin_id >= COPIED_ID:
        raise ExhaustedError(f"the thin ids of dlv {dlv.name} ran out", hint="delete its newest snapshots")
    return dlv.next_thin_id
