"""What agents answer: what they observe, never what they were told."""

from __future__ import annotations

from msgspec import Struct

from drystone.dvm.state import State


class LegSeen(Struct, frozen=True):
    """A leg on its dpv.

    :ivar size: bytes of its slice, 0 for none. :ivar is_ready: whether it was made ready for use once.
    :ivar exported: whether its target takes logins. :ivar initiators: who is let in, :ivar logged_in: and is there.
    """

    leg: str
    size: int
    is_ready: bool
    exported: bool
    initiators: tuple[str, ...]
    logged_in: tuple[str, ...]


class LegsSeen(Struct, frozen=True):
    """What a dpv has of a dlv.

    :ivar epoch: the highest that it was told. :ivar state: the devices below the legs.
    :ivar stopped: why nobody is let in, although somebody is wished; "" when it is as wished.
    """

    dlv: str
    epoch: int
    legs: tuple[LegSeen, ...]
    state: State
    stopped: str = ""


class DiskSeen(Struct, frozen=True):
    """A leg on the ihost. :ivar session: of iSCSI, such as LOGGED_IN; "" for none. :ivar disk: its state, "" for none.

    :ivar number: major:minor, "" for none.
    """

    leg: str
    session: str
    disk: str
    number: str


class MirrorSeen(Struct, frozen=True):
    """A mirror. :ivar health: a letter a leg, see kernel.dm.statuses. :ivar in_sync: regions, of `regions`."""

    name: str
    legs: tuple[str, ...]
    health: str
    in_sync: int
    regions: int


class PoolSeen(Struct, frozen=True):
    """A thin pool. Blocks of data are those of its table, blocks of metadata have 4096 bytes."""

    transaction_id: int
    used_data: int
    data_blocks: int
    used_metadata: int
    metadata_blocks: int


class FileSystemSeen(Struct, frozen=True):
    """What became of the file system on a volume, which was to grow. :ivar fill: of the wish for that.

    :ivar problem: why it did not, "" when it is as large as the volume.
    """

    fill: int
    problem: str


class CloneSeen(Struct, frozen=True):
    """How far a clone is copied.

    :ivar copied: regions, of `regions`. :ivar region: bytes. :ivar is_durable: all of them are, and on disk.
    """

    copied: int
    regions: int
    region: int
    is_durable: bool


class VolumeSeen(Struct, frozen=True):
    """What an ihost has of a dlv.

    :ivar device: path of the final device, "" for none. :ivar stopped: why nothing is done about it, "" when it is.
    :ivar pool: None where there is none, or it cannot tell: its metadata cannot be read, or a mirror holds its writes.
    :ivar filesystem: None where none is to grow, or it is not done yet.
    :ivar clone: None where nothing is copied, or it cannot tell. :ivar set_epoch: the highest that it was told.
    """

    dlv: str
    epoch: int
    device: str
    disks: tuple[DiskSeen, ...]
    mirrors: tuple[MirrorSeen, ...]
    state: State
    stopped: str = ""
    pool: PoolSeen | None = None
    filesystem: FileSystemSeen | None = None
    clone: CloneSeen | None = None
    set_epoch: int = 0


class Survey(Struct, frozen=True):
    """All that an agent sees.

    :ivar dlvs: and the highest epoch of each. :ivar troubles: of dlvs that are not as they were wished last, why so.
    :ivar unknown: what looks like the cluster's and is of no dlv here, in words. It is left alone.
    """

    dlvs: dict[str, int]
    troubles: dict[str, str]
    unknown: tuple[str, ...]
