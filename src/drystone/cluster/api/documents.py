"""What requests say, and what is answered that the model has no value for. Sizes are bytes."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from drystone.cluster.model.calls import Call
from drystone.cluster.model.dlv import Dlv, DlvStatus, Snapshot
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.layout import (
    LARGEST_SIZE,
    LONGEST_DLV_NAME,
    MOST_MIRRORS,
    MOST_STRIPES,
    SECTORS_A_BLOCK,
)
from drystone.cluster.model.moving import Move

Item = TypeVar("Item")
EvacuationStatus = Literal["none", "evacuating", "evacuated"]
BalanceStatus = Literal["uneven", "rebalancing", "balanced"]

_NAMES = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$"
Name = Annotated[str, Meta(pattern=_NAMES, max_length=100)]
DlvName = Annotated[str, Meta(pattern=_NAMES, max_length=LONGEST_DLV_NAME)]
Address = Annotated[str, Meta(pattern=r"^[!-~]+:[0-9]+$", max_length=300, description="HOST:PORT")]
Words = Annotated[str, Meta(pattern=r"^[ -~]*$", max_length=100)]
Initiator = Annotated[str, Meta(pattern=r"^(iqn|eui|naa)\.[a-z0-9.:-]+$", max_length=223)]
Size = Annotated[int, Meta(ge=4096, le=LARGEST_SIZE, multiple_of=4096)]
Some = Annotated[int, Meta(ge=1, le=LARGEST_SIZE)]


class NewDpv(Struct, frozen=True, forbid_unknown_fields=True):
    """A dpv to be registered. :ivar size: bytes that it offers, of which whole extents are used."""

    name: Name
    address: Address
    portal: Address
    size: Annotated[int, Meta(ge=EXTENT, le=LARGEST_SIZE)]
    location: Words = ""


class NewIhost(Struct, frozen=True, forbid_unknown_fields=True):
    """An ihost to be registered. :ivar initiator: its iSCSI name."""

    name: Name
    address: Address
    initiator: Initiator


class NewDvg(Struct, frozen=True, forbid_unknown_fields=True):
    """A dvg to be made, with its first dpvs."""

    name: Name
    dpvs: tuple[Name, ...] = ()


class Members(Struct, frozen=True, forbid_unknown_fields=True):
    """Dpvs that join a dvg or leave it."""

    dpvs: tuple[Name, ...]


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, in the operator's words."""

    reason: Words = ""


class NewDlv(Struct, frozen=True, forbid_unknown_fields=True):
    """A dlv to be made.

    :ivar size: bytes that its user sees. :ivar initial_size: bytes of its first data group at least; its size when not
        given. :ivar mirrors: copies. :ivar stripes: mirrors that a group goes over. :ivar block: sectors of a block of
        the thin pool, a multiple of 128.
    """

    name: DlvName
    dvg: Name
    size: Size
    initial_size: Some | None = None
    mirrors: Annotated[int, Meta(ge=1, le=MOST_MIRRORS)] = 2
    stripes: Annotated[int, Meta(ge=1, le=MOST_STRIPES)] = 1
    block: Annotated[int, Meta(ge=128, le=2_097_152, multiple_of=128)] = SECTORS_A_BLOCK


class NewClone(Struct, frozen=True, forbid_unknown_fields=True):
    """A clone to be made of a dlv, of the size that this has; what is not said is as with the source.

    :ivar snapshot: of the source, that it is a copy of; when not said, of one that is made for it.
    :ivar initial_size: bytes of its first data group at least; its size when not given.
    """

    name: DlvName
    snapshot: Name | None = None
    dvg: Name | None = None
    initial_size: Some | None = None
    mirrors: Annotated[int, Meta(ge=1, le=MOST_MIRRORS)] | None = None
    stripes: Annotated[int, Meta(ge=1, le=MOST_STRIPES)] | None = None


class NewSnapshot(Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot to be made of a dlv."""

    name: Name


class AttachmentWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a dlv is to be attached."""

    ihost: Name


class AttachmentState(Struct, frozen=True):
    """Where a dlv is attached.

    :ivar wanted: the ihost that it is to be at, :ivar ihost: the one that has it, or may; "" for none.
    :ivar epoch: and :ivar status: of the dlv.
    """

    dlv: str
    wanted: str
    ihost: str
    epoch: int
    status: DlvStatus
    reason: str


class Snapshots(Struct, frozen=True):
    """All snapshots of a dlv."""

    items: tuple[Snapshot, ...]


class NewBackup(Struct, frozen=True, forbid_unknown_fields=True):
    """A backup to make. :ivar repository: as the configuration of ihosts calls it."""

    repository: Name


class NewRestore(Struct, frozen=True, forbid_unknown_fields=True):
    """A dlv to be made of a backup, of the size that this has. :ivar ihost: that fills it: its configuration has the
    repository.

    :ivar dvg, initial_size, mirrors, stripes: as of a new dlv.
    """

    name: DlvName
    dvg: Name
    ihost: Name
    initial_size: Some | None = None
    mirrors: Annotated[int, Meta(ge=1, le=MOST_MIRRORS)] = 2
    stripes: Annotated[int, Meta(ge=1, le=MOST_STRIPES)] = 1


class Extension(Struct, frozen=True, forbid_unknown_fields=True):
    """By how many bytes, at least, a dlv's pool is to grow."""

    size: Some


class NewSize(Struct, frozen=True, forbid_unknown_fields=True):
    """What a dlv is to have. :ivar size: bytes that its user sees, no less than now.

    :ivar grow_filesystem: the ext4 or xfs on it is to grow to that size, while it is attached.
    """

    size: Size
    grow_filesystem: bool = False


class RollbackWish(Struct, frozen=True, forbid_unknown_fields=True):
    """What a dlv is to hold again. :ivar snapshot: the name of one of its snapshots."""

    snapshot: Name


class LegsCommit(Struct, frozen=True, forbid_unknown_fields=True):
    """Legs that an ihost lost, or has copied to.

    :ivar attachment: the epoch in which it was given the dlv. :ivar epoch: of the dlv, in which it saw that.
    :ivar set_epoch: of the sets then.
    """

    ihost: Name
    attachment: Annotated[int, Meta(ge=1, le=LARGEST_SIZE)]
    epoch: Annotated[int, Meta(ge=1, le=LARGEST_SIZE)]
    set_epoch: Annotated[int, Meta(ge=0, le=LARGEST_SIZE)]
    legs: Annotated[tuple[Annotated[str, Meta(max_length=36)], ...], Meta(min_length=1, max_length=1000)]


class Moves(Struct, frozen=True):
    """Legs that would go to other dpvs. :ivar waiting: why some would not at once, in words."""

    moves: tuple[Move, ...]
    waiting: tuple[str, ...] = ()


class Evacuation(Struct, frozen=True):
    """How far the evacuation of a dpv has come.

    :ivar legs: that are on it, and may be, :ivar extents: of these. :ivar moving: those of which a successor is on its
        way. :ivar waiting: why others do not move yet, in words, at most a hundred.
    """

    dpv: str
    status: EvacuationStatus
    reason: str
    legs: int
    extents: int
    moving: int
    waiting: tuple[str, ...]


class Balance(Struct, frozen=True):
    """How even the dpvs of a dvg are used.

    :ivar shares: that are used of each dpv which takes legs, from 0 to 1. :ivar moving: legs that are on their way.
    """

    dvg: str
    status: BalanceStatus
    reason: str
    shares: dict[str, float]
    moving: int


class Preview(Struct, frozen=True):
    """What would be done: the dlv as it would be recorded, the calls of agents with their tables, and remarks."""

    dlv: Dlv
    calls: tuple[Call, ...]
    notes: tuple[str, ...] = ()


class Event(Struct, frozen=True):
    """What happened. :ivar at: RFC 3339 in UTC. :ivar caller: who asked for it, in :ivar request: of this id.

    :ivar kind: and :ivar subject: what it happened to.
    """

    number: int
    at: str
    caller: str
    request: str
    what: str
    kind: str
    subject: str
    text: str


class Page(Struct, Generic[Item], frozen=True):
    """Part of a list. :ivar next: the cursor of the next part, "" on the last one."""

    items: tuple[Item, ...]
    next: str


class Events(Struct, frozen=True):
    """Events in the order in which they became so. :ivar next: the `after` that goes on behind them."""

    items: tuple[Event, ...]
    next: int


class Health(Struct, frozen=True):
    """Whether this server can answer.

    :ivar queue: `database` when there is no other. `away`: hints are lost for now, and work is found by rounds alone.
    """

    database: str
    queue: Literal["database", "unused", "connected", "away"] = "database"


class Problem(Struct, frozen=True):
    """An error: a problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    request_id: str
    facts: dict[str, object]
