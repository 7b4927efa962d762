"""Targets that lie over several legs: striped, mirror and raid. Their parameters; see `targets.py`.

Facts: Linux 6.1 `drivers/md/dm-stripe.c`, `dm-raid1.c`, `dm-raid.c`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from drystone.kernel.dm.words import WordReader, join_words


class Leg(NamedTuple):
    """A device, and the sector at which the target's part of it begins."""

    device: str
    offset: int = 0


def _read_legs(reader: WordReader, count: int) -> tuple[Leg, ...]:
    if reader.left < 2 * count:
        reader.fail(f"{count} devices with offsets are announced, {reader.left} words are there")
    return tuple(Leg(reader.word("a device"), reader.whole("an offset")) for _ in range(count))


def _change_legs(legs: tuple[Leg, ...], change: Callable[[str], str]) -> tuple[Leg, ...]:
    return tuple(Leg(change(leg.device), leg.offset) for leg in legs)


class Striped(Struct, frozen=True):
    """Chunks of `chunk` sectors, on the legs in turn. The length is a multiple of legs times chunk."""

    kind: ClassVar[str] = "striped"
    chunk: int
    legs: tuple[Leg, ...]

    @classmethod
    def parse(cls, params: str) -> Striped:
        reader = WordReader(cls.kind, params)
        count = reader.whole("the number of stripes")
        target = cls(reader.whole("the chunk"), _read_legs(reader, count))
        reader.end()
        if not target.legs or not target.chunk:
            reader.fail("the chunk and the number of stripes are at least 1")
        return target

    def to_params(self) -> str:
        return join_words((len(self.legs), self.chunk, *(word for leg in self.legs for word in leg)))

    def map_devices(self, change: Callable[[str], str]) -> Striped:
        return replace(self, legs=_change_legs(self.legs, change))


class Mirror(Struct, frozen=True):
    """dm-raid1: the same sectors on every leg, with a log of regions that differ.

    :ivar region: sectors of a region, a power of two.
    :ivar log_device: where the log lives (type `disk`), or None for one in memory (type `core`).
    :ivar sync: `sync`, `nosync` or "" for the log's own mind.
    """

    kind: ClassVar[str] = "mirror"
    features_known: ClassVar[tuple[str, ...]] = ("handle_errors", "keep_log")
    legs: tuple[Leg, ...]
    region: int
    log_device: str | None = None
    sync: str = ""
    handle_errors: bool = False
    keep_log: bool = False

    @classmethod
    def parse(cls, params: str) -> Mirror:
        reader = WordReader(cls.kind, params)
        log = reader.word("the log's type")
        if log not in {"core", "disk"}:
            reader.fail(f"log type {log!r} is neither core nor disk")
        words = reader.whole("the number of log arguments")
        after = reader.left - words
        log_device = reader.word("the log's device") if log == "disk" else None
        region = reader.whole("the region size")
        sync = reader.word("sync or nosync") if reader.left > after else ""
        if reader.left != after or sync not in {"", "sync", "nosync"}:
            reader.fail("the log takes a region size and perhaps sync or nosync")
        legs = _read_legs(reader, reader.whole("the number of mirrors"))
        given = reader.features(cls.features_known, most=1 << 20, any_case=False)
        reader.end()
        if len(legs) < 2 or ("keep_log" in given and "handle_errors" not in given):
            reader.fail("two legs at least; keep_log goes with handle_errors")
        return cls(legs, region, log_device, sync, "handle_errors" in given, "keep_log" in given)

    def to_params(self) -> str:
        log = [word for word in (self.log_device, str(self.region), self.sync) if word]
        features = [name for name in self.features_known if getattr(self, name)]
        words: list[object] = ["core" if self.log_device is None else "disk", len(log), *log, len(self.legs)]
        words += [word for leg in self.legs for word in leg]
        return join_words([*words, len(features), *features] if features else words)

    def map_devices(self, change: Callable[[str], str]) -> Mirror:
        log_device = None if self.log_device is None else change(self.log_device)
        return replace(self, log_device=log_device, legs=_change_legs(self.legs, change))


class RaidLeg(NamedTuple):
    """A leg of a raid set: its metadata device (`-` for none) and its data device (`-` for a missing one)."""

    metadata: str
    data: str


_RAID_FLAGS = ("sync", "nosync", "raid10_use_near_sets")
_RAID_ORDER = (
    "sync", "nosync", "rebuild", "daemon_sleep", "min_recovery_rate", "max_recovery_rate", "write_mostly",
    "max_write_behind", "stripe_cache", "region_size", "raid10_copies", "raid10_format", "raid10_use_near_sets",
    "delta_disks", "data_offset", "journal_dev", "journal_mode",
)  # fmt: skip


class Raid(Struct, frozen=True):
    """dm-raid (md beneath): `level` such as raid1 or raid6_zr.

    :ivar chunk: sectors; 0 for raid1, which has none.
    :ivar options: (name, value) in the kernel's own order; the value is "" where a name stands alone.
    """

    kind: ClassVar[str] = "raid"
    level: str
    chunk: int
    legs: tuple[RaidLeg, ...]
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, params: str) -> Raid:
        reader = WordReader(cls.kind, params)
        level = reader.word("the raid level")
        end = reader.whole("the number of raid parameters")
        if not 1 <= end <= reader.left:
            reader.fail(f"{end} raid parameters are announced, {reader.left} words are there")
        after = reader.left - end
        chunk = 0 if reader.words[reader.at] == "-" else reader.whole("the chunk")
        options = []
        while reader.left > after:
            name = reader.word("an option").lower()
            if name not in _RAID_ORDER:
                reader.fail(f"option {name!r} is not known")
            options.append((name, "" if name in _RAID_FLAGS else reader.word(name)))
        if reader.left != after:
            reader.fail("an option's value is missing")
        count = reader.whole("the number of devices")
        legs = tuple(RaidLeg(*reader.take(2, "a raid device")) for _ in range(min(count, reader.left)))
        reader.end()
        if not legs or len(legs) != count:
            reader.fail("one device at least, each with its metadata device or -")
        ordered = tuple(sorted(options, key=lambda option: _RAID_ORDER.index(option[0])))
        return cls(level, 0 if level == "raid1" else chunk, legs, ordered)

    def to_params(self) -> str:
        options = [word for option in self.options for word in option if word]
        legs = [word for leg in self.legs for word in leg]
        return join_words((self.level, 1 + len(options), self.chunk, *options, len(self.legs), *legs))

    def map_devices(self, change: Callable[[str], str]) -> Raid:
        options = tuple((name, change(value) if name == "journal_dev" else value) for name, value in self.options)
        legs = tuple(RaidLeg(*(word if word == "-" else change(word) for word in leg)) for leg in self.legs)
        return replace(self, options=options, legs=legs)
