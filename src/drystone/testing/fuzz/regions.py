"""Regions of replicated metadata: changed anywhere, the digests and hashes above it made right again, and the tools."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import TypeAlias

import google_crc32c

from drystone.base.errors import DamagedError
from drystone.dvm.replication import replicate
from drystone.dvm.replication.views import EVERYTHING
from drystone.formats.region.layout import (
    CHECKSUM_AT,
    COMMITTED_AT,
    ENTRIES,
    ENTRY,
    MOST_KEPT,
    NEXT_AT,
    PAGE,
    PAGE_HEAD,
    RECORD,
    ROOM,
    ROOT,
    SECTOR,
    SLOT_OFFSETS,
    count_chunks,
)
from drystone.formats.region.slots import build_slot, parse_page_zero, parse_slot
from drystone.formats.region.transactions import Change, digest, digest_chunk, digest_content
from drystone.testing.crash_states import Adversary, Choices, CrashDevice, Disk, open_world
from drystone.testing.fuzz.mutate import mutate_fixed
from drystone.testing.fuzz.oracles import demand
from drystone.testing.region_scenarios import GROUP, KEEP, three_versions, update

_PAGES = 20
_SIZE = _PAGES * PAGE
"""Bytes of one region."""
_LONG = b"z" * ROOM * (ENTRIES + 1) + b"y"
"""Data that take two levels of tables, and two pages: equal chunks share one."""
_NEXT = b"n" * ROOM + b"x" * 7
_MOST_SEALED = 2 * len(_LONG)
"""Bytes: of a version that says it has more the tables are left as they are."""

Devices: TypeAlias = list[CrashDevice]


@cache
def _worlds() -> tuple[bytes, ...]:
    """Two regions, one behind the other's bytes: clean, long data, one is behind, both are prepared."""
    return tuple(map(_make_world, (_stay, _lengthen, _leave_behind, _prepare)))


def _make_world(change: Callable[[Devices], object]) -> bytes:
    world = [Disk(_PAGES) for _ in range(2)]
    devices = open_world(world, Adversary(Choices()))
    replicate.format_regions(devices, group=GROUP, keep=KEEP)
    three_versions(devices, EVERYTHING)
    change(devices)
    for disk in world:
        disk.flush()
    return b"".join(disk.sure.get(page, bytes(PAGE)) for disk in world for page in range(_PAGES))


def _stay(_: Devices) -> None:
    pass


def _lengthen(devices: Devices) -> None:
    update(devices, _LONG)


def _leave_behind(devices: Devices) -> None:
    update(devices[:1], _NEXT)


def _prepare(devices: Devices) -> None:
    replicate.prepare(devices, _LONG)


def make_page_zero(random: Random) -> bytes:
    """Page 0 of a region, changed; most with checksums that fit again."""
    page = bytearray(mutate_fixed(random.choice(_worlds())[:PAGE], random))
    if random.random() < 0.9:
        for at in SLOT_OFFSETS:
            _seal_slot(page, at)
    return bytes(page)


def read_page_zero(data: bytes) -> None:
    """The slot that is current.

    :raises DamagedError: a slot is not as it was written, or there is none.
    """
    found = parse_page_zero(data)
    if found is None:
        raise DamagedError("the region is not formatted")
    if found.current is not None:
        demand(parse_slot(build_slot(found.current)) == found.current, "a slot is spelled in two ways")
    if found.problem:
        raise DamagedError(found.problem)


def make_regions(random: Random) -> bytes:
    """Two regions, changed in one to three of the pages in use; what leads to these is mostly made right again."""
    data = bytearray(random.choice(_worlds()))
    used = [at for at in range(0, len(data), PAGE) if any(data[at : at + PAGE])]
    changed = [random.choice(used) for _ in range(random.choice((1, 1, 2, 3)))]
    for at in changed:
        data[at : at + PAGE] = mutate_fixed(bytes(data[at : at + PAGE]), random)
    if random.random() < 0.9:
        for begin in sorted({at // _SIZE * _SIZE for at in changed}):
            region = data[begin : begin + _SIZE]
            _seal_region(region)
            data[begin : begin + _SIZE] = region
    return bytes(data)


def use_regions(data: bytes) -> None:
    """One of the tools, on one of the regions or on both; what it says that it did can be read."""
    world = [
        Disk(_PAGES, {page: data[begin + page * PAGE : begin + (page + 1) * PAGE] for page in range(_PAGES)})
        for begin in (0, _SIZE)
    ]
    draw = zlib.crc32(data)
    _DEEDS[draw % len(_DEEDS)](open_world(world, Adversary(Choices()), ((0,), (1,), (0, 1), (1, 0))[draw >> 8 & 3]))


def _replace_data(devices: Devices) -> None:
    prepared = replicate.prepare(devices, _NEXT)
    demand(replicate.commit(devices) == prepared, "another transaction was committed than was prepared")
    demand(replicate.read(devices).data == _NEXT, "other data are read than were committed")


def _commit(devices: Devices) -> None:
    committed = replicate.commit(devices)
    demand(replicate.read(devices).transaction == committed, "another transaction is read than was committed")


def _abort(devices: Devices) -> None:
    stays = replicate.abort(devices)
    demand(replicate.history(devices)[0] == stays, "another transaction is there than stayed")


def _recover(devices: Devices) -> None:
    once = replicate.recover(devices)
    before = [device.disk.digest() for device in devices]
    demand(replicate.recover(devices) == once, "a second recovery finds something else")
    demand([device.disk.digest() for device in devices] == before, "a second recovery writes something")


_DEEDS: tuple[Callable[[Devices], object], ...] = (
    replicate.status, replicate.read, replicate.history, _replace_data, _commit, _abort, _recover, _recover,
)  # fmt: skip


def _seal_region(region: bytearray) -> None:
    """Make right, from the data upwards, all that the slots lead to."""
    for at in SLOT_OFFSETS:
        for place in (at + COMMITTED_AT, at + NEXT_AT):
            _seal_root(region, place)
        _seal_slot(region, at)


def _seal_slot(region: bytearray, at: int) -> None:
    value = int(google_crc32c.value(bytes(region[at : at + CHECKSUM_AT])))
    region[at + CHECKSUM_AT : at + SECTOR] = struct.pack("<I", value)


def _seal_root(region: bytearray, place: int) -> None:
    """The root page of a slot, and what the slot says of it, at byte `place`."""
    page = ROOT.unpack_from(region, place)[2]
    if not _is_page(region, page):
        return
    begin = page * PAGE
    used = min(PAGE_HEAD.unpack_from(region, begin)[4], MOST_KEPT)
    parent, newest = None, None
    for number in reversed(range(used)):
        at = begin + PAGE_HEAD.size + number * RECORD.size
        sequence, length, top, levels, content, own_parent, top_digest = RECORD.unpack_from(region, at)
        parent = own_parent if parent is None else parent
        if _is_page(region, top) and 0 < length <= _MOST_SEALED and 0 < levels < 4:
            content = digest_content(_seal_table(region, top, levels, range(count_chunks(length)), length))
            top_digest = _digest_page(region, top)
        RECORD.pack_into(region, at, sequence, length, top, levels, content, parent, top_digest)
        newest = Change(GROUP, sequence, length, parent, content)
        parent = newest.hash
    if newest is not None:
        seal = _digest_page(region, page)
        ROOT.pack_into(region, place, newest.sequence, newest.length, page, 0, newest.hash, newest.parent, seal)


def _seal_table(region: bytearray, page: int, level: int, chunks: range, length: int) -> list[bytes]:
    """A table over the chunks of these numbers; the digests of the chunks."""
    found: list[bytes] = []
    span = ENTRIES ** (level - 1)
    for number in range(-(-len(chunks) // span)):
        at = page * PAGE + PAGE_HEAD.size + number * ENTRY.size
        below, seal = ENTRY.unpack_from(region, at)
        part = chunks[number * span : (number + 1) * span]
        if number < ENTRIES and _is_page(region, below):
            if level > 1:
                found += _seal_table(region, below, level - 1, part, length)
                seal = _digest_page(region, below)
            else:
                begin = below * PAGE + PAGE_HEAD.size
                seal = digest_chunk(bytes(region[begin : begin + min(ROOM, length - part[0] * ROOM)]))
                found.append(seal)
            ENTRY.pack_into(region, at, below, seal)
        if number == ENTRIES - 1:
            break
    return found


def _is_page(region: bytearray, page: int) -> bool:
    return 0 < page < len(region) // PAGE


def _digest_page(region: bytearray, page: int) -> bytes:
    return digest(bytes(region[page * PAGE : (page + 1) * PAGE]))
