"""The log of dm-log-writes: all writes and flushes of a device in the order in which they were done.

Layout after the kernel's Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c: a
superblock in the first sector, then for each request a sector that describes it and, of a write, its data. Writes come
into it with the flush that makes them durable, before that flush.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from .metadata_group import Call

_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


@dataclass(frozen=True)
class Entry:
    """A request: its flags, and where its data go, in bytes."""

    flags: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Step:
    """A request, and the number of its device."""

    device: int
    entry: Entry


def parse_log(data: bytes) -> list[Entry]:
    """The entries of a log, but for marks: the kernel puts one where the log ends."""
    magic, version, count, sector = _SUPER.unpack_from(data)
    assert (magic, version) == (_MAGIC, 1)
    entries, at = [], sector
    for _ in range(count):
        begin, sectors, flags, _ = _ENTRY.unpack_from(data, at)
        at += sector
        length = 0 if flags & DISCARD else sectors * sector
        if not flags & MARK:
            entries.append(Entry(flags, begin * sector, data[at : at + length]))
        at += length
    return entries


def merge(calls: Sequence[Call], logs: Sequence[Sequence[Entry]]) -> list[Step]:
    """The logs of several devices as one, by the order of the calls that led to them.

    Each call ended before the next one began.
    """
    rest = [iter(log) for log in logs]
    steps = [Step(each.device, entry) for each in calls for entry in _take(rest[each.device], each)]
    assert all(next(each, None) is None for each in rest), "requests that nobody asked for"
    return steps


def _take(rest: Iterator[Entry], asked: Call) -> Iterator[Entry]:
    """The entries of one call. A write may have become several."""
    missing = asked.size
    while missing > 0:
        entry = next(rest)
        assert entry.data
        assert not entry.flags & (FLUSH | FUA | DISCARD)
        missing -= len(entry.data)
        yield entry
    if asked.kind == "flush":
        entry = next(rest)
        assert entry.flags & FLUSH
        assert not entry.data
        yield entry
    assert missing == 0


def replay(images: Sequence[bytes], steps: Sequence[Step]) -> tuple[bytes, ...]:
    """The devices after these steps."""
    devices = [bytearray(each) for each in images]
    for step in steps:
        devices[step.device][step.entry.offset : step.entry.offset + len(step.entry.data)] = step.entry.data
    return tuple(map(bytes, devices))


def crash_states(images: Sequence[bytes], steps: Sequence[Step]) -> Iterator[tuple[bytes, ...]]:
    """What the devices may hold when the power goes after these steps: any of the writes that were not flushed."""
    unsafe: set[int] = set()
    for at, step in enumerate(steps):
        if step.entry.flags & FLUSH:
            unsafe = {each for each in unsafe if steps[each].device != step.device}
        else:
            unsafe.add(at)
    assert len(unsafe) < 8, "too many to try"
    for count in range(len(unsafe) + 1):
        for lost in combinations(sorted(unsafe), count):
            yield replay(images, [step for at, step in enumerate(steps) if at not in lost])
