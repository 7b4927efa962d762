"""What targets report of themselves: the text of a status, and its meaning.

`STATUSES` maps a target's type to the parser of its status. Types that report nothing (linear, error, zero,
snapshot-origin) are not in it.

Facts: Linux 6.1 `drivers/md/dm-*.c`, `STATUSTYPE_INFO`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from drystone.kernel.dm.abc import TargetStatus
from drystone.kernel.dm.clone import CloneStatus
from drystone.kernel.dm.words import WordReader

FAIL = "Fail"
"""What a thin pool, its thin devices or a cache report when the metadata cannot be used at all."""
ERROR = "Error"
"""What a target reports when it could not read its own state this time."""


def _number_or_none(reader: WordReader, what: str) -> int | None:
    if reader.left and reader.words[reader.at] == "-":
        reader.word(what)
        return None
    return reader.whole(what)


def _choose(reader: WordReader, what: str, known: tuple[str, ...]) -> str:
    text = reader.word(what)
    if text not in known:
        reader.fail(f"{what} {text!r} is none of {', '.join(known)}")
    return text


class Unusable(msgspec.Struct, frozen=True):
    """A target that reports no figures.

    :ivar word: `Fail` or `Error`; for a snapshot `Invalid`, `Overflow`, `Merge failed` or `Unknown`.
    """

    word: str


class ThinPoolStatus(msgspec.Struct, frozen=True):
    """A thin pool: metadata blocks are 4096 bytes, data blocks are of the table's block size.

    :ivar held_root: the metadata block of a reserved metadata snapshot, or None.
    :ivar mode: `rw`, `ro` or `out_of_data_space`.
    :ivar discard: `discard_passdown`, `no_discard_passdown` or `ignore_discard`.
    :ivar error_if_no_space: False: writes wait for room (`queue_if_no_space`).
    :ivar metadata_low_water: free metadata blocks below which the pool sends an event; 0 from kernels that do not say.
    """

    transaction_id: int
    used_metadata: int
    total_metadata: int
    used_data: int
    total_data: int
    held_root: int | None
    mode: str
    discard: str
    error_if_no_space: bool
    needs_check: bool
    metadata_low_water: int = 0

    @classmethod
    def parse(cls, text: str) -> ThinPoolStatus | Unusable:
        """:raises UsageError: no such text comes from a kernel."""
        if text.strip() in {FAIL, ERROR}:
            return Unusable(text.strip())
        reader = WordReader("thin-pool status", text)
        transaction_id = reader.whole("the transaction id")
        metadata, data = reader.ratio("metadata blocks"), reader.ratio("data blocks")
        held_root = _number_or_none(reader, "the held root")
        mode = _choose(reader, "the mode", ("rw", "ro", "out_of_data_space"))
        discard = _choose(reader, "discards", ("discard_passdown", "no_discard_passdown", "ignore_discard"))
        space = _choose(reader, "no space", ("error_if_no_space", "queue_if_no_space"))
        check = _choose(reader, "needs_check", ("needs_check", "-"))
        low_water = reader.whole("the metadata low water mark") if reader.left else 0
        erring, checking = space == "error_if_no_space", check == "needs_check"
        return cls(transaction_id, *metadata, *data, held_root, mode, discard, erring, checking, low_water)


class ThinStatus(msgspec.Struct, frozen=True):
    """A thin device.

    :ivar mapped: sectors that have blocks of the pool.
    :ivar highest: the last mapped sector, or None when nothing is mapped.
    """

    mapped: int
    highest: int | None

    @classmethod
    def parse(cls, text: str) -> ThinStatus | Unusable:
        """:raises UsageError: no such text comes from a kernel."""
        if text.strip() in {FAIL, ERROR, "-"}:
            return Unusable(text.strip())
        reader = WordReader("thin status", text)
        status = cls(reader.whole("mapped sectors"), _number_or_none(reader, "the highest sector"))
        reader.end()
        return status


class EraStatus(msgspec.Struct, frozen=True):
    """A dm-era device.

    :ivar metadata_block: sectors of a metadata block.
    :ivar held_root: the metadata block of a metadata snapshot, or None.
    """

    metadata_block: int
    used_metadata: int
    total_metadata: int
    current_era: int
    held_root: int | None

    @classmethod
    def parse(cls, text: str) -> EraStatus | Unusable:
        """:raises UsageError: no such text comes from a kernel."""
        if text.strip() == ERROR:
            return Unusable(ERROR)
        reader = WordReader("era status", text)
        block, metadata = reader.whole("the metadata block size"), reader.ratio("metadata blocks")
        status = cls(block, *metadata, reader.whole("the era"), _number_or_none(reader, "the held root"))
        reader.end()
        return status


class SnapshotStatus(msgspec.Struct, frozen=True):
    """A dm-snapshot: sectors of its exception store in use, there, and used by the store itself."""

    allocated: int
    total: int
    metadata: int

    @classmethod
    def parse(cls, text: str) -> SnapshotStatus | Unusable:
        """:raises UsageError: no such text comes from a kernel."""
        if text.strip() in {"Invalid", "Overflow", "Merge failed", "Unknown"}:
            return Unusable(text.strip())
        reader = WordReader("snapshot status", text)
        status = cls(*reader.ratio("allocated sectors"), reader.whole("metadata sectors"))
        reader.end()
        return status


class MirrorStatus(msgspec.Struct, frozen=True):
    """A dm-mirror.

    :ivar devices: major:minor of each leg.
    :ivar in_sync: regions in sync, of `regions`.
    :ivar health: a letter a leg: A alive, F flush failed, D dead by a write error, S by a sync error, R by a read.
    :ivar log: the log's type and what it reports: (`core`,) or (`disk`, device, a letter).
    """

    devices: tuple[str, ...]
    in_sync: int
    regions: int
    health: str
    log: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> MirrorStatus:
        """:raises UsageError: no such text comes from a kernel."""
        reader = WordReader("mirror status", text)
        devices = reader.counted("legs")
        in_sync = reader.ratio("regions in sync")
        health = reader.counted("health words")
        log = reader.counted("log words")
        reader.end()
        return cls(devices, *in_sync, "".join(health), log)


class RaidStatus(msgspec.Struct, frozen=True):
    """A dm-raid set.

    :ivar health: a letter a leg: A alive and in sync, a alive and not in sync, D dead, - not there.
    :ivar in_sync: sectors done, of `sectors` to do.
    :ivar action: idle, frozen, resync, recover, check, repair, reshape.
    """

    level: str
    legs: int
    health: str
    in_sync: int
    sectors: int
    action: str
    mismatches: int
    data_offset: int
    journal: str

    @classmethod
    def parse(cls, text: str) -> RaidStatus:
        """:raises UsageError: no such text comes from a kernel."""
        reader = WordReader("raid status", text)
        level, legs, health = reader.word("the level"), reader.whole("legs"), reader.word("health")
        in_sync, action = reader.ratio("sectors in sync"), reader.word("the action")
        mismatches = reader.whole("mismatches")
        offset = reader.whole("the data offset") if reader.left else 0
        return cls(
            level, legs, health, *in_sync, action, mismatches, offset, reader.word("journal") if reader.left else "-"
        )


class CacheStatus(msgspec.Struct, frozen=True):
    """A dm-cache.

    :ivar metadata_block: sectors; `cache_block` likewise. Metadata is counted in its blocks, the cache in its own.
    :ivar counts: read hits, read misses, write hits, write misses, demotions, promotions.
    :ivar mode: `rw` or `ro`.
    """

    metadata_block: int
    used_metadata: int
    total_metadata: int
    cache_block: int
    used_cache: int
    total_cache: int
    counts: tuple[int, int, int, int, int, int]
    dirty: int
    features: tuple[str, ...]
    policy: str
    mode: str
    needs_check: bool

    @classmethod
    def parse(cls, text: str) -> CacheStatus | Unusable:
        """:raises UsageError: no such text comes from a kernel."""
        if text.strip() in {FAIL, ERROR}:
            return Unusable(text.strip())
        reader = WordReader("cache status", text)
        metadata_block, metadata = reader.whole("the metadata block size"), reader.ratio("metadata blocks")
        cache_block, cache = reader.whole("the cache block size"), reader.ratio("cache blocks")
        hits = reader.whole("read hits"), reader.whole("read misses"), reader.whole("write hits")
        moves = reader.whole("write misses"), reader.whole("demotions"), reader.whole("promotions")
        dirty, features = reader.whole("dirty blocks"), reader.counted("features")
        reader.counted("core arguments")
        policy = reader.word("the policy")
        reader.counted("policy arguments")
        mode = _choose(reader, "the mode", ("rw", "ro"))
        check = _choose(reader, "needs_check", ("needs_check", "-")) == "needs_check"
        blocks = (metadata_block, *metadata, cache_block, *cache)
        return cls(*blocks, (*hits, *moves), dirty, features, policy, mode, check)


Figures = (
    ThinPoolStatus | ThinStatus | EraStatus | SnapshotStatus | MirrorStatus | RaidStatus | CacheStatus | CloneStatus
)
Status = Unusable | Figures


def _parse_clone(text: str) -> CloneStatus | Unusable:
    """:raises UsageError: no such text comes from a kernel."""
    return CloneStatus.parse(text) or Unusable(text.strip())


STATUSES: dict[str, Callable[[str], Status]] = {
    "thin-pool": ThinPoolStatus.parse,
    "thin": ThinStatus.parse,
    "era": EraStatus.parse,
    "snapshot": SnapshotStatus.parse,
    "snapshot-merge": SnapshotStatus.parse,
    "mirror": MirrorStatus.parse,
    "raid": RaidStatus.parse,
    "cache": CacheStatus.parse,
    "clone": _parse_clone,
}
"""A target's type -> the parser of its status."""


def parse_status(status: TargetStatus) -> Status | None:
    """The typed status; None for a target that reports nothing we know.

    :raises UsageError: the text is not what that type reports.
    """
    parse = STATUSES.get(status.target)
    return None if parse is None else parse(status.text)
