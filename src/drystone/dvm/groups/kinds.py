"""The kinds of volumes that a group document holds: a type a kind.

Extents are numbered from 0 on each device; a run is some of them in a row. Volumes that carry others (a raid set, a
thin pool, a cache) refer to *parts*: volumes of the same document with `part_of`, whose names hold a colon
(`db:data0`), which no name of a person's does. Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run is being moved to: as many extents of `device` from `begin` on."""

    device: str
    begin: int


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Extents [begin, begin + count) of the device with uuid `device`.

    :ivar to: where they are being moved to; both places are written until the move ends.
    """

    device: str
    begin: int
    count: int
    to: Place | None = None

    @property
    def end(self) -> int:
        """The extent after the last."""
        return self.begin + self.count

    def places(self) -> Iterator[Run]:
        """The run itself, and what is reserved for its move."""
        yield self
        if self.to is not None:
            yield Run(self.to.device, self.to.begin, self.count)


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Runs of one length over which chunks go in turn."""

    legs: tuple[Run, ...]


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A leg of a raid set: the uuids of its parts.

    :ivar rebuild: its content is to be made from the other legs.
    """

    data: str
    metadata: str
    rebuild: bool = False


class Volume(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, tag_field="kind"
):
    """What all kinds have.

    :ivar size: bytes, whole extents.
    :ivar part_of: uuid of the volume that this one is a part of.
    """

    uuid: str
    name: str
    size: int
    tags: tuple[str, ...] = ()
    part_of: str | None = None

    @property
    def kind(self) -> str:
        """The kind's name in documents."""
        return str(self.__struct_config__.tag)

    def runs(self) -> Iterator[Run]:
        """The extents that it maps itself, in the order of its bytes (of its rows, when striped)."""
        yield from ()

    def parts(self) -> tuple[str, ...]:
        """uuids of its parts."""
        return ()

    def blank_parts(self) -> tuple[str, ...]:
        """uuids of those parts whose first bytes must be zeros when they are new: the kernel keeps records there."""
        return ()

    def needs(self) -> tuple[str, ...]:
        """uuids of all other volumes without which it is not there."""
        return self.parts()


class Linear(Volume, frozen=True, kw_only=True, tag="linear"):
    """Runs one after the other."""

    segments: tuple[Run, ...]

    def runs(self) -> Iterator[Run]:
        yield from self.segments


class Striped(Volume, frozen=True, kw_only=True, tag="striped"):
    """Rows one after the other; within one, chunks of `chunk` bytes on its legs in turn."""

    chunk: int
    rows: tuple[Row, ...]

    def runs(self) -> Iterator[Run]:
        for row in self.rows:
            yield from row.legs


class Raid(Volume, frozen=True, kw_only=True):
    """What the raid kinds have.

    :ivar region: bytes of a region, which is in sync or not as a whole; a power of two.
    :ivar nosync: the legs were taken as in sync when the set was made.
    """

    legs: tuple[Leg, ...]
    region: int
    nosync: bool = False

    def parts(self) -> tuple[str, ...]:
        return tuple(uuid for leg in self.legs for uuid in (leg.metadata, leg.data))

    def blank_parts(self) -> tuple[str, ...]:
        return tuple(leg.metadata for leg in self.legs)

    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk; 0 for raid1, which has none."""
        return int(getattr(self, "chunk", 0))


class Raid1(Raid, frozen=True, kw_only=True, tag="raid1"):
    """The same bytes on every leg."""


class Raid5(Raid, frozen=True, kw_only=True, tag="raid5"):
    """Chunks and their parity: any one leg may be lost."""

    chunk: int


class Raid6(Raid, frozen=True, kw_only=True, tag="raid6"):
    """Chunks and two syndromes: any two legs may be lost."""

    chunk: int


class Raid10(Raid, frozen=True, kw_only=True, tag="raid10"):
    """Chunks, each on two neighbouring legs."""

    chunk: int


class ThinPool(Volume, frozen=True, kw_only=True, tag="thin_pool"):
    """Blocks for thin volumes.

    :ivar block: bytes of a block. :ivar low_water: free bytes below which the kernel sends an event.
    :ivar transaction_id, messages: as `drystone.dvm.state.Transaction` has them: the messages lead from the id before
        to this one.
    :ivar next_id: the thin id that is given out next; none is given out twice.
    :ivar no_zeroing: blocks are not filled with zeros before their first use.
    :ivar error_if_full: writes that find no room fail at once instead of waiting for some.
    """

    data: str
    metadata: str
    block: int
    transaction_id: int = 0
    messages: tuple[str, ...] = ()
    next_id: int = 0
    low_water: int = 0
    no_zeroing: bool = False
    error_if_full: bool = False

    def parts(self) -> tuple[str, ...]:
        return (self.metadata, self.data)

    def blank_parts(self) -> tuple[str, ...]:
        return (self.metadata,)


class Thin(Volume, frozen=True, kw_only=True, tag="thin"):
    """A thin volume.

    :ivar dev_id: its id in the pool.
    :ivar origin: uuid of the thin volume that it was a snapshot of, while that is there.
    """

    pool: str
    dev_id: int
    origin: str | None = None

    def needs(self) -> tuple[str, ...]:
        return (self.pool,)


class Snapshot(Volume, frozen=True, kw_only=True, tag="snapshot"):
    """A classic snapshot: chunks of the origin are copied to `cow` before they are overwritten.

    :ivar origin: uuid of a volume that is no part. :ivar chunk: bytes, a power of two.
    :ivar merging: the origin goes back to it: what it holds is what the origin holds, and is copied there.
    """

    origin: str
    cow: str
    chunk: int
    merging: bool = False

    def parts(self) -> tuple[str, ...]:
        return (self.cow,)

    def blank_parts(self) -> tuple[str, ...]:
        return (self.cow,)

    def needs(self) -> tuple[str, ...]:
        return (self.cow, self.origin)


class Cache(Volume, frozen=True, kw_only=True, tag="cache"):
    """A volume (`base`) with a fast one before it.

    :ivar mode: writethrough, writeback or passthrough. :ivar policy: smq, or cleaner, which writes back all that is
        dirty. :ivar block: bytes.
    """

    base: str
    fast: str
    metadata: str
    block: int
    mode: str = "writethrough"
    policy: str = "smq"

    def parts(self) -> tuple[str, ...]:
        return (self.metadata, self.fast, self.base)

    def blank_parts(self) -> tuple[str, ...]:
        return (self.metadata,)


class Era(Volume, frozen=True, kw_only=True, tag="era"):
    """A volume (`base`) of which it is recorded in which era each block of `block` bytes was last written."""

    base: str
    metadata: str
    block: int

    def parts(self) -> tuple[str, ...]:
        return (self.metadata, self.base)

    def blank_parts(self) -> tuple[str, ...]:
        return (self.metadata,)


class Crypt(Volume, frozen=True, kw_only=True, tag="crypt"):
    """A volume (`base`) that holds the encrypted bytes of this one.

    The key never stands in the document: `key` names one of the kernel's keyring, `logon:DESCRIPTION`.

    :ivar cipher: as dm-crypt spells it, such as aes-xts-plain64. :ivar key_size: bytes.
    """

    base: str
    cipher: str
    key: str
    key_size: int

    def parts(self) -> tuple[str, ...]:
        return (self.base,)


AnyVolume = Linear | Striped | Raid1 | Raid5 | Raid6 | Raid10 | ThinPool | Thin | Snapshot | Cache | Era | Crypt
"""What stands in a document's `volumes`."""

RAID_PARITY: dict[type[Raid], int] = {Raid1: 0, Raid5: 1, Raid6: 2, Raid10: 0}
"""Legs' worth of space that holds no data of its own."""
RAID_LEAST: dict[type[Raid], int] = {Raid1: 2, Raid5: 3, Raid6: 4, Raid10: 4}
"""The fewest legs that we make."""


def raid_size(kind: type[Raid], legs: int, leg_size: int) -> int:
    """Bytes of a raid set of `legs` legs of `leg_size` bytes each."""
    if kind is Raid1:
        return leg_size
    if kind is Raid10:
        return legs // 2 * leg_size
    return (legs - RAID_PARITY[kind]) * leg_size


def joined(runs: tuple[Run, ...] | list[Run]) -> tuple[Run, ...]:
    """The same runs, neighbours that continue each other made one."""
    found: list[Run] = []
    for run in runs:
        last = found[-1] if found else None
        if last is not None and last.device == run.device and last.end == run.begin and last.to is run.to is None:
            found[-1] = Run(run.device, last.begin, last.count + run.count)
        else:
            found.append(run)
    return tuple(found)
