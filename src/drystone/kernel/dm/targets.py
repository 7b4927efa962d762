"""The parameters of device-mapper targets: the words of a table line, and what they mean.

A type a target; `TARGETS` maps a table's type name to it, and a target that is not there is `Opaque`. Two lines mean
the same when their parsed values are equal: the kernel's own spelling of a table (a feature count that was left out,
another order, a blank at the end) does not count.

Device fields are text: `253:0`, a path, or a `{name}` reference that is resolved before it meets the kernel. Lengths
and offsets are sectors of 512 bytes unless the name says otherwise. What the targets report is in `statuses.py`.
Facts: Linux 6.1 `drivers/md/dm-*.c`, the constructors and `STATUSTYPE_TABLE`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Protocol

from msgspec import Struct
from msgspec.structs import replace

from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.clone import Clone
from drystone.kernel.dm.legs import Leg, Mirror, Raid, RaidLeg, Striped
from drystone.kernel.dm.words import WordReader, join_words, split_words

__all__ = [
    "TARGETS",
    "Cache",
    "Era",
    "Error",
    "Leg",
    "Linear",
    "Mirror",
    "Opaque",
    "Raid",
    "RaidLeg",
    "Snapshot",
    "SnapshotMerge",
    "SnapshotOrigin",
    "Striped",
    "Target",
    "Thin",
    "ThinPool",
    "Zero",
    "devices",
    "make_line",
    "map_devices",
    "parse_target",
]

_DEVICE_LIKE = r"\d+:\d+|/.+|\{[^{}]+\}"


class Target(Protocol):
    """The parameters of one target."""

    @property
    def kind(self) -> str:
        """The type's name in a table."""

    def to_params(self) -> str:
        """The text of the table line. `parse` gives the value back."""

    def map_devices(self, change: Callable[[str], str], /) -> Target:
        """The same with every device field changed, in the order of the text."""


class Linear(Struct, frozen=True):
    """Sectors of `device` from `offset` on."""

    kind: ClassVar[str] = "linear"
    device: str
    offset: int = 0

    @classmethod
    def parse(cls, params: str) -> Linear:
        reader = WordReader(cls.kind, params)
        target = cls(reader.word("the device"), reader.whole("the offset"))
        reader.end()
        return target

    def to_params(self) -> str:
        return join_words((self.device, self.offset))

    def map_devices(self, change: Callable[[str], str]) -> Linear:
        return replace(self, device=change(self.device))


class Error(Struct, frozen=True):
    """Every read and write fails."""

    kind: ClassVar[str] = "error"

    @classmethod
    def parse(cls, _params: str) -> Error:
        """The kernel takes any words here and forgets them."""
        return cls()

    def to_params(self) -> str:
        return ""

    def map_devices(self, _change: Callable[[str], str]) -> Error:
        return self


class Zero(Struct, frozen=True):
    """Reads give zeros, writes are dropped."""

    kind: ClassVar[str] = "zero"

    @classmethod
    def parse(cls, params: str) -> Zero:
        WordReader(cls.kind, params).end()
        return cls()

    def to_params(self) -> str:
        return ""

    def map_devices(self, _change: Callable[[str], str]) -> Zero:
        return self


_POOL_FEATURES = ("skip_block_zeroing", "ignore_discard", "no_discard_passdown", "read_only", "error_if_no_space")


class ThinPool(Struct, frozen=True):
    """A pool of blocks for thin devices. It stands alone in its table.

    :ivar block: sectors of a block: 128 to 2097152, a multiple of 128.
    :ivar low_water: free blocks below which the pool sends an event.
    """

    kind: ClassVar[str] = "thin-pool"
    features_known: ClassVar[tuple[str, ...]] = _POOL_FEATURES
    metadata: str
    data: str
    block: int
    low_water: int = 0
    skip_block_zeroing: bool = False
    ignore_discard: bool = False
    no_discard_passdown: bool = False
    read_only: bool = False
    error_if_no_space: bool = False

    @classmethod
    def parse(cls, params: str) -> ThinPool:
        reader = WordReader(cls.kind, params)
        metadata, data = reader.word("the metadata device"), reader.word("the data device")
        block, low_water = reader.whole("the block size"), reader.whole("the low water mark")
        given = reader.features(cls.features_known, most=4)
        return cls(metadata, data, block, low_water, *(name in given for name in cls.features_known))

    def to_params(self) -> str:
        features = [name for name in self.features_known if getattr(self, name)]
        return join_words((self.metadata, self.data, self.block, self.low_water, len(features), *features))

    def map_devices(self, change: Callable[[str], str]) -> ThinPool:
        return replace(self, metadata=change(self.metadata), data=change(self.data))


class Thin(Struct, frozen=True):
    """A thin device `dev_id` of the pool; blocks that it lacks are read from `external_origin` or as zeros."""

    kind: ClassVar[str] = "thin"
    pool: str
    dev_id: int
    external_origin: str | None = None

    @classmethod
    def parse(cls, params: str) -> Thin:
        reader = WordReader(cls.kind, params)
        target = cls(reader.word("the pool"), reader.whole("the device id"))
        if reader.left:
            target = replace(target, external_origin=reader.word("the external origin"))
        reader.end()
        return target

    def to_params(self) -> str:
        words = (self.pool, self.dev_id)
        return join_words(words if self.external_origin is None else (*words, self.external_origin))

    def map_devices(self, change: Callable[[str], str]) -> Thin:
        pool = change(self.pool)
        return replace(self, pool=pool, external_origin=self.external_origin and change(self.external_origin))


class Snapshot(Struct, frozen=True):
    """A dm-snapshot of `origin`, whose exceptions live on `cow`.

    :ivar store: `P` persistent, `PO` persistent and told of overflow, `N` in memory.
    :ivar chunk: sectors of a chunk, a power of two.
    """

    kind: ClassVar[str] = "snapshot"
    features_known: ClassVar[tuple[str, ...]] = ("discard_zeroes_cow", "discard_passdown_origin")
    origin: str
    cow: str
    store: str
    chunk: int
    discard_zeroes_cow: bool = False
    discard_passdown_origin: bool = False

    @classmethod
    def parse(cls, params: str) -> Snapshot:
        reader = WordReader(cls.kind, params)
        origin, cow = reader.word("the origin"), reader.word("the exception store's device")
        store = reader.word("the store's type").upper()
        if store not in {"P", "PO", "N"}:
            reader.fail(f"the store's type {store!r} is not P, PO or N")
        chunk, given = reader.whole("the chunk"), reader.features(cls.features_known, most=2)
        if "discard_passdown_origin" in given and "discard_zeroes_cow" not in given:
            reader.fail("discard_passdown_origin goes with discard_zeroes_cow")
        return cls(origin, cow, store, chunk, *(name in given for name in cls.features_known))

    def to_params(self) -> str:
        features = [name for name in self.features_known if getattr(self, name)]
        words = (self.origin, self.cow, self.store, self.chunk)
        return join_words((*words, len(features), *features) if features else words)

    def map_devices(self, change: Callable[[str], str]) -> Snapshot:
        return replace(self, origin=change(self.origin), cow=change(self.cow))


class SnapshotMerge(Snapshot, frozen=True):
    """Copies a snapshot's exceptions back into its origin. The origin's own device takes this table."""

    kind: ClassVar[str] = "snapshot-merge"


class SnapshotOrigin(Struct, frozen=True):
    """A device with snapshots: its writes copy the old chunk to them first."""

    kind: ClassVar[str] = "snapshot-origin"
    device: str

    @classmethod
    def parse(cls, params: str) -> SnapshotOrigin:
        reader = WordReader(cls.kind, params)
        target = cls(reader.word("the device"))
        reader.end()
        return target

    def to_params(self) -> str:
        return join_words((self.device,))

    def map_devices(self, change: Callable[[str], str]) -> SnapshotOrigin:
        return replace(self, device=change(self.device))


class Cache(Struct, frozen=True):
    """A fast device before a slow one.

    :ivar block: sectors of a cache block: 64 to 2097152, a multiple of 64.
    """

    kind: ClassVar[str] = "cache"
    metadata: str
    fast: str
    origin: str
    block: int
    features: tuple[str, ...] = ()
    policy: str = "default"
    policy_args: tuple[str, ...] = ()

    @classmethod
    def parse(cls, params: str) -> Cache:
        reader = WordReader(cls.kind, params)
        metadata, fast, origin = (reader.word(f"the {what} device") for what in ("metadata", "cache", "origin"))
        block, features = reader.whole("the block size"), reader.counted("features")
        policy, policy_args = reader.word("the policy"), reader.counted("policy arguments")
        reader.end()
        return cls(metadata, fast, origin, block, features, policy, policy_args)

    def to_params(self) -> str:
        words = (self.metadata, self.fast, self.origin, self.block, len(self.features), *self.features)
        return join_words((*words, self.policy, len(self.policy_args), *self.policy_args))

    def map_devices(self, change: Callable[[str], str]) -> Cache:
        return replace(self, metadata=change(self.metadata), fast=change(self.fast), origin=change(self.origin))


class Era(Struct, frozen=True):
    """Remembers in which era each block of `block` sectors (a multiple of 8) was last written."""

    kind: ClassVar[str] = "era"
    metadata: str
    origin: str
    block: int

    @classmethod
    def parse(cls, params: str) -> Era:
        reader = WordReader(cls.kind, params)
        target = cls(reader.word("the metadata device"), reader.word("the origin"), reader.whole("the block size"))
        reader.end()
        return target

    def to_params(self) -> str:
        return join_words((self.metadata, self.origin, self.block))

    def map_devices(self, change: Callable[[str], str]) -> Era:
        return replace(self, metadata=change(self.metadata), origin=change(self.origin))


class Opaque(Struct, frozen=True):
    """Any other target (crypt, flakey, delay): its words as they are. What looks like a device is taken for one."""

    kind: str
    words: tuple[str, ...]

    def to_params(self) -> str:
        return join_words(self.words)

    def map_devices(self, change: Callable[[str], str]) -> Opaque:
        words = tuple(change(word) if re.fullmatch(_DEVICE_LIKE, word) else word for word in self.words)
        return replace(self, words=words)


TARGETS: dict[str, Callable[[str], Target]] = {
    **{kind.kind: kind.parse for kind in (Linear, Striped, Error, Zero, Mirror, Raid, ThinPool, Thin, Cache, Era)},
    **{kind.kind: kind.parse for kind in (Snapshot, SnapshotMerge, SnapshotOrigin, Clone)},
}
"""A table's type name -> the parser of its parameters."""


def parse_target(line: TableLine) -> Target:
    """The typed parameters of a table line; `Opaque` for a type that is not in TARGETS.

    :raises UsageError: the words are not what the target takes; the message names the one that is wrong.
    """
    parse = TARGETS.get(line.target)
    return Opaque(line.target, tuple(split_words(line.params))) if parse is None else parse(line.params)


def make_line(start: int, length: int, target: Target) -> TableLine:
    """The table line of `target` for sectors [start, start + length)."""
    return TableLine(start, length, target.kind, target.to_params())


def devices(line: TableLine) -> list[str]:
    """The device fields of a line, in the order of the text; a device that is named twice is there twice.

    :raises UsageError: as `parse_target`.
    """
    found: list[str] = []

    def note(device: str) -> str:
        found.append(device)
        return device

    parse_target(line).map_devices(note)
    return found


def map_devices(line: TableLine, change: Callable[[str], str]) -> TableLine:
    """The line with every device field changed; its parameters are in our spelling afterwards.

    :raises UsageError: as `parse_target`.
    """
    return make_line(line.start, line.length, parse_target(line).map_devices(change))
