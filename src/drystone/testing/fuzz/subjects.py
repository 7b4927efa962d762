"""What is fuzzed: every reader of stored bytes, with the sound bytes that its mutations begin from."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import Any

from drystone.formats.era import document as era_document
from drystone.formats.era import dump as era_dump
from drystone.formats.era import parse as era_parse
from drystone.formats.era.changed import iter_changed_runs
from drystone.formats.era.eras import iter_eras
from drystone.formats.era.invalidate import format_ranges
from drystone.formats.era.parts import iter_logical_parts, iter_parts
from drystone.formats.era.picture import draw_device
from drystone.formats.era.restore import write_parts
from drystone.formats.era.superblock import parse_superblock as parse_era
from drystone.formats.era.superblock import read_held_superblock as read_held_era
from drystone.formats.era.superblock import read_superblock as read_era
from drystone.formats.era.tag import read_tag
from drystone.formats.lvm2.group import parse_group
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.pdata.scan import count_kinds
from drystone.formats.thin.delta import iter_changed
from drystone.formats.thin.devices import find_mapping_root, read_devices, read_mapping_roots
from drystone.formats.thin.difference import iter_segments
from drystone.formats.thin.dump import Choice, dump
from drystone.formats.thin.ls import list_devices
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.pack import iter_packed, read_header, unpack
from drystone.formats.thin.parse import parse_xml
from drystone.formats.thin.parse_json import parse_json
from drystone.formats.thin.picture import draw_pool
from drystone.formats.thin.restore import restore
from drystone.formats.thin.rmap import find_uses
from drystone.formats.thin.spelling import SPELLERS
from drystone.formats.thin.superblock import Superblock
from drystone.formats.thin.superblock import parse_superblock as parse_thin
from drystone.formats.thin.superblock import read_held_superblock as read_held_thin
from drystone.formats.thin.superblock import read_superblock as read_thin
from drystone.testing.damage.examples import EXAMPLES
from drystone.testing.damage.sites import Anatomy
from drystone.testing.damage.table import READERS, Target
from drystone.testing.era_metadata import Held, write_era_metadata
from drystone.testing.fuzz.labels import make_label_pages, read_label_pages
from drystone.testing.fuzz.lvm2 import make_lvm2_devices, make_lvm2_text, read_lvm2_devices, read_lvm2_headers
from drystone.testing.fuzz.mutate import damage_image, mutate_block, mutate_file, mutate_image
from drystone.testing.fuzz.oracles import (
    check_era_image,
    check_thin_image,
    demand_written,
    join_chunks,
    repair_era_image,
    repair_thin_image,
)
from drystone.testing.fuzz.regions import make_page_zero, make_regions, read_page_zero, use_regions
from drystone.testing.fuzz.s3 import (
    answer_request,
    check_signature,
    make_chunked,
    make_document,
    make_policy,
    make_request,
    make_signed,
    read_chunked,
    read_document,
    read_policy,
)
from drystone.testing.fuzz.smart import make_smart, read_smart
from drystone.testing.thin_metadata import write_thin_metadata

DISK = 96 * BLOCK
"""Bytes of the disk that restores and repairs write to: small, so that running out of room is met too."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A reader and what it is fed with.

    :ivar make: a mutated case. :ivar feed: reads it to the end; whatever it raises but DrystoneError is a failure.
    :ivar share: weight among the subjects: so many cases of a campaign are its.
    """

    name: str
    make: Callable[[Random], bytes]
    feed: Callable[[bytes], object]
    share: int


def exhaust(parts: Iterable[Any]) -> None:
    """Take all there is."""
    for _ in parts:
        pass


def _pick(data: bytes, actions: Sequence[Callable[[], object]]) -> None:
    """One of several readings of a case, by its content."""
    actions[zlib.crc32(data) % len(actions)]()


@cache
def _thin_images() -> list[bytes]:
    base = {block: block for block in range(130)}
    images = []
    for fan_out in (3, 84, 252):
        devices = {1: base, 2: base | {7: 900, 300: 901}, 3: {}, 4: {block * 3: block for block in range(20)}}
        images.append(write_thin_metadata(devices, held={1: base}, fan_out=fan_out, nr_data_blocks=1000))
    return images


@cache
def _era_images() -> list[bytes]:
    images = []
    for nr_blocks, fan_out in ((50, 252), (3000, 3)):
        eras = [block % 4 for block in range(nr_blocks)]
        held = Held([0, *eras[1:]], {4: {5}}, 5)
        writesets = {4: {5}, 5: {1, nr_blocks - 1}}
        images.append(write_era_metadata(eras, writesets, current={3}, current_era=6, held=held, fan_out=fan_out))
    return images


@cache
def _used(data: bytes) -> list[int]:
    return [number for number in range(len(data) // BLOCK) if any(data[number * BLOCK : (number + 1) * BLOCK])]


@cache
def _dissect(target: Target) -> tuple[bytes, Anatomy]:
    """A sound image. The others have nodes that are emptier than a check lets pass, so that they have deep trees."""
    data = EXAMPLES[target][0]()
    return data, READERS[target](MemoryBlocks(data))


def _make_image(target: Target, random: Random) -> bytes:
    if random.random() < 0.3:
        return damage_image(target, *_dissect(target), random)
    sound, others = _dissect(target)[0], _thin_images() if target == "thin" else _era_images()
    image = random.choice((sound, random.choice(others)))
    return mutate_image(image, _used(image), random)


_make_thin, _make_era = partial(_make_image, "thin"), partial(_make_image, "era")


def _make_superblock(images: Callable[[], list[bytes]]) -> Callable[[Random], bytes]:
    return lambda random: mutate_block(random.choice(images())[:BLOCK], random)


@cache
def _texts(kind: str) -> list[bytes]:
    """Dumps of the images; `kind` is `thin xml`, `thin json`, `era xml` or `era json`."""
    texts: list[bytes] = []
    if kind.startswith("thin"):
        form = kind.split()[1]
        for old in (False, True):
            for image in _thin_images():
                reader = MemoryBlocks(image)
                parts = dump(reader, read_thin(reader), Choice(share=not old))
                texts.append(join_chunks(SPELLERS[form, old](parts)))
        return texts
    image = _era_images()[0]
    for parts_of in (iter_parts, iter_logical_parts):
        reader = MemoryBlocks(image)
        parts_found = parts_of(reader, read_era(reader))
        texts.append(join_chunks(era_dump.FORMATS[kind.split()[1]](parts_found)))
    return texts


def _make_text(kind: str) -> Callable[[Random], bytes]:
    return lambda random: mutate_file(random.choice(_texts(kind)), random)


@cache
def _packed() -> list[bytes]:
    return [b"".join(iter_packed(MemoryBlocks(image), [])) for image in _thin_images()]


def _make_packed(random: Random) -> bytes:
    """A packed file changed as it is; or what is packed in it changed, and packed again."""
    data = random.choice(_packed())
    if random.random() < 0.5:
        return mutate_file(data, random)
    length = int.from_bytes(data[32:40], "little")
    section = zlib.compress(mutate_file(zlib.decompress(data[40 : 40 + length]), random), 1)
    return data[:32] + len(section).to_bytes(8, "little") + section


def _read_thin(data: bytes) -> None:
    reader = MemoryBlocks(data)
    superblock = (read_held_thin if data[-1] & 1 else read_thin)(reader)
    _pick(
        data,
        [
            lambda: read_devices(reader, superblock),
            lambda: read_mapping_roots(reader, superblock),
            lambda: exhaust(iter_mappings(reader, superblock, 1, batch=16)),
            lambda: exhaust(iter_mappings(reader, superblock, 2, batch=16)),
            lambda: exhaust(iter_changed(reader, superblock, 1, 2, batch=16)),
        ],
    )


def _print_thin(data: bytes) -> None:
    reader = MemoryBlocks(data)
    superblock = read_thin(reader)
    nr_blocks = superblock.data_space_map.nr_blocks
    _pick(
        data,
        [
            lambda: exhaust(SPELLERS["xml", False](dump(reader, superblock, Choice()))),
            lambda: exhaust(SPELLERS["json", False](dump(reader, superblock, Choice()))),
            lambda: list_devices(reader, superblock, nr_blocks, count=True, highest=True),
            lambda: find_uses(reader, superblock, [(0, 100), (900, 905)]),
            lambda: draw_pool(reader, superblock, nr_blocks, 100),
            lambda: exhaust(iter_segments(reader, *_find_roots(reader, superblock))),
        ],
    )


def _find_roots(reader: MemoryBlocks, superblock: Superblock) -> tuple[int, int]:
    return find_mapping_root(reader, superblock, 1), find_mapping_root(reader, superblock, 2)


def _scan(data: bytes) -> None:
    count_kinds(MemoryBlocks(data))
    exhaust(iter_packed(MemoryBlocks(data), []))


def _read_era(data: bytes) -> None:
    reader = MemoryBlocks(data)
    read_tag(data[:BLOCK].ljust(BLOCK, b"\0"))
    superblock = (read_held_era if data[-1] & 1 else read_era)(reader)
    _pick(
        data,
        [
            lambda: exhaust(iter_eras(reader, superblock)),
            lambda: exhaust(format_ranges(iter_changed_runs(reader, superblock, 3))),
            lambda: exhaust(era_dump.format_xml(iter_parts(reader, superblock))),
            lambda: draw_device(reader, superblock, 50),
        ],
    )


def _write(target: Target, write: Callable[[MemoryDisk], object]) -> None:
    """Something to a new disk, which must be sound then."""
    disk = MemoryDisk(DISK)
    write(disk)
    demand_written(target, disk)


def _parse_thin_xml(data: bytes) -> None:
    _write("thin", lambda disk: restore(disk, parse_xml(io.BytesIO(data))))


def _parse_thin_json(data: bytes) -> None:
    _write("thin", lambda disk: restore(disk, parse_json(io.BytesIO(data))))


def _parse_era_xml(data: bytes) -> None:
    _write("era", lambda disk: write_parts(disk, era_parse.parse_xml(io.BytesIO(data))))


def _parse_era_json(data: bytes) -> None:
    _write("era", lambda disk: write_parts(disk, era_document.parse_json(data)))


def _unpack(data: bytes) -> None:
    file = io.BytesIO(data)
    blocks = read_header(file)
    if blocks * BLOCK <= 8 * DISK:
        unpack(file, blocks, MemoryDisk(blocks * BLOCK))


SUBJECTS = [
    Subject("thin superblock", _make_superblock(_thin_images), parse_thin, 80),
    Subject("era superblock", _make_superblock(_era_images), parse_era, 80),
    Subject("thin nodes", _make_thin, _read_thin, 200),
    Subject("era nodes, arrays and bitsets", _make_era, _read_era, 120),
    Subject("thin check, space maps too", _make_thin, lambda data: check_thin_image(MemoryBlocks(data)), 50),
    Subject("era check, space map too", _make_era, lambda data: check_era_image(MemoryBlocks(data)), 50),
    Subject("thin dump, ls, rmap, delta, picture", _make_thin, _print_thin, 60),
    Subject("thin repair", _make_thin, lambda data: repair_thin_image(MemoryBlocks(data), MemoryDisk(DISK)), 20),
    Subject("era repair", _make_era, lambda data: repair_era_image(MemoryBlocks(data), MemoryDisk(DISK)), 20),
    Subject("thin scan and pack", _make_thin, _scan, 10),
    Subject("thin XML", _make_text("thin xml"), _parse_thin_xml, 60),
    Subject("thin JSON", _make_text("thin json"), _parse_thin_json, 30),
    Subject("era XML", _make_text("era xml"), _parse_era_xml, 30),
    Subject("era JSON", _make_text("era json"), _parse_era_json, 20),
    Subject("thin packed file", _make_packed, _unpack, 20),
    Subject("labels and marks", make_label_pages, read_label_pages, 30),
    Subject("region page 0", make_page_zero, read_page_zero, 20),
    Subject("regions", make_regions, use_regions, 40),
    Subject("LVM2 labels, headers, rings", make_lvm2_devices, read_lvm2_headers, 15),
    Subject("LVM2 texts", make_lvm2_text, parse_group, 30),
    Subject("LVM2 devices", make_lvm2_devices, read_lvm2_devices, 15),
    Subject("smartctl documents", make_smart, read_smart, 30),
    Subject("S3 requests", make_request, answer_request, 200),
    Subject("S3 signatures", make_signed, check_signature, 100),
    Subject("S3 documents", make_document, read_document, 100),
    Subject("S3 policies", make_policy, read_policy, 50),
    Subject("S3 chunked bodies", make_chunked, read_chunked, 100),
]
