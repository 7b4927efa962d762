"""LVM2's labels, headers, rings and texts: changed, their checksums made right again, and what reads them."""

from __future__ import annotations

import contextlib
import re
import struct
from dataclasses import dataclass
from functools import cache
from random import Random

import msgspec

from drystone.base.errors import DamagedError, UnsupportedError
from drystone.dvm.lvm2.assembly import assemble
from drystone.dvm.lvm2.conversion import convert
from drystone.dvm.lvm2.groups_document import groups_document
from drystone.dvm.lvm2.rescue import rescue
from drystone.dvm.lvm2.scan_document import scan_document
from drystone.dvm.lvm2.survey import survey
from drystone.dvm.lvm2.tables import build_tables
from drystone.dvm.lvm2.texts_document import texts_document
from drystone.formats.lvm2.area import parse_area_header
from drystone.formats.lvm2.label import HEAD_SIZE, find_label
from drystone.formats.lvm2.ring import check_text, find_texts, pieces
from drystone.testing.fuzz.mutate import mutate_file, mutate_fixed
from drystone.testing.fuzz.oracles import demand
from drystone.testing.lvm2_metadata import (
    AREA_BEGIN,
    SECTOR,
    checksum,
    device_uuid,
    linear,
    mirror,
    raid1,
    striped,
    write_area,
    write_label,
    write_text,
    write_volume,
)

_AREA_SIZE = 12288
_WRITTEN = AREA_BEGIN + _AREA_SIZE
"""Bytes that a device begins with; behind them are zeros."""
_SIZE = 4 << 20
_SEARCHED = 1 << 15
_WORD = re.compile(rb'[A-Za-z0-9_.+-]+|"[^"]*"')
_STRANGE = (
    b"", b"0", b"1", b"3", b"4294967296", b"36028797018963968", b"9223372036854775807", b"-1", b"1.5", b'"x\ny"',
    b'"\x1b[2J"', b'"error"', b'"zero"', b'"linear"', b'"i0"', b'"pv0"', b'"home"', b"[]", b'["LOCKED", "MISSING"]',
    b'"' + b"long" * 500 + b'"',
)  # fmt: skip
"""Words that a text hardly has."""
_HIDDEN = '"READ", "WRITE"'


@cache
def _texts() -> tuple[bytes, ...]:
    """A group over two devices, with volumes of every kind that is read, and of one that is not."""
    parts = {
        name: write_volume(number, [linear(0, extents, f"pv{number % 2}", begin)], status=_HIDDEN)
        for number, (name, extents, begin) in enumerate(
            (("m0", 1, 0), ("m1", 1, 0), ("i0", 4, 1), ("i1", 4, 1)), start=10
        )
    }
    thin = 'start_extent = 0\nextent_count = 400\ntype = "thin"\nthin_pool = "home"\ntransaction_id = 3\n'
    plain = {
        "home": write_volume(1, [linear(0, 2, "pv0", 5), linear(2, 1, "pv1", 5)], more='tags = ["a", "b"]\n'),
        "wide": write_volume(2, [striped(0, 4, [("pv0", 7), ("pv1", 6)])]),
        "none": write_volume(3, ['start_extent = 0\nextent_count = 4\ntype = "error"\n']),
    }
    more = {"thin": write_volume(4, [thin]), "safe": write_volume(5, [raid1(4, ["m0", "i0", "m1", "i1"])])}
    old = {"old": write_volume(6, [mirror(4, ["i0", "i1"], log="m0")])}
    return tuple(
        write_text(volumes, devices=2, seqno=number, description="d" * 40 * number)
        for number, volumes in enumerate(({}, plain, parts | old, plain | parts | more), start=1)
    )


def make_lvm2_text(random: Random) -> bytes:
    """A text, changed: anywhere, or word by word, so that the grammar mostly holds."""
    text = random.choice(_texts())
    return mutate_file(text, random) if random.random() < 0.3 else _change_words(text, random)


def _change_words(text: bytes, random: Random) -> bytes:
    """One to three words in the place of others, or none."""
    for _ in range(random.choice((1, 1, 2, 3))):
        words = [*_WORD.finditer(text)]
        place = random.choice(words)
        new = random.choice((random.choice(words)[0], random.choice(words)[0], random.choice(_STRANGE)))
        text = text[: place.start()] + new + text[place.end() :]
    return text


def make_lvm2_devices(random: Random) -> bytes:
    """What two devices of a group begin with; one of them is changed, in its label or header or anywhere."""
    devices = [_make_device(number, random) for number in range(2)]
    if random.random() < 0.7:
        which = random.randrange(2)
        devices[which] = random.choice((_change_label, _change_header, mutate_fixed))(devices[which], random)
    return b"".join(devices)


def _make_device(number: int, random: Random) -> bytes:
    head = bytearray(AREA_BEGIN)
    sector = random.randrange(4)
    head[sector * SECTOR : (sector + 1) * SECTOR] = write_label(
        device_uuid(number),
        _SIZE,
        [(AREA_BEGIN, _AREA_SIZE)] * random.choice((0, 1, 1, 1, 2)),
        sector=sector,
        extension=random.choice((0, 1, 2)),
    )
    return bytes(head) + _make_area(random)


def _make_area(random: Random) -> bytes:
    """An area with two or three texts, the last of which may be changed; the ring begins anywhere."""
    texts = random.sample(_texts(), random.choice((2, 3)))
    if random.random() < 0.6:
        texts[-1] = random.choice((mutate_file, _change_words))(texts[-1], random)
    first = SECTOR * random.randrange(1, _AREA_SIZE // SECTOR)
    texts = [text[: (_AREA_SIZE - SECTOR) // 3 - 1] if len(texts) * len(text) > _AREA_SIZE else text for text in texts]
    return write_area(texts, AREA_BEGIN, _AREA_SIZE, first=first, precommitted=random.random() < 0.2)


def _change_label(data: bytes, random: Random) -> bytes:
    at = data.index(b"LABELONE") // SECTOR * SECTOR
    sector = mutate_fixed(data[at : at + SECTOR], random)
    if random.random() < 0.9:
        sector = sector[:16] + struct.pack("<I", checksum(sector[20:])) + sector[20:]
    return data[:at] + sector + data[at + SECTOR :]


def _change_header(data: bytes, random: Random) -> bytes:
    end = AREA_BEGIN + SECTOR
    sector = mutate_fixed(data[AREA_BEGIN:end], random)
    if random.random() < 0.9:
        sector = struct.pack("<I", checksum(sector[4:])) + sector[4:]
    return data[:AREA_BEGIN] + sector + data[end:]


@dataclass(frozen=True, slots=True)
class _Device:
    """A device that begins with `data`."""

    path: str
    data: bytes
    size: int = _SIZE

    def read(self, offset: int, length: int) -> bytes:
        demand(0 <= offset <= offset + length <= self.size, "a read is not within the device")
        return self.data[offset : offset + length].ljust(length, b"\0")


def read_lvm2_headers(data: bytes) -> None:
    """Label, header and ring of each of two devices, each by itself.

    :raises DamagedError: one of them is not as it was written.
    """
    for begin in (0, _WRITTEN):
        _read_headers(data[begin : begin + _WRITTEN])


def _read_headers(data: bytes) -> None:
    area = data[AREA_BEGIN:]
    for found in find_texts(area):
        demand(len(found.data) <= len(area) - SECTOR, "a text is longer than its ring")
    label = find_label(data[:HEAD_SIZE])
    if label is None:
        raise DamagedError("there is no label")
    demand(len(label.data_areas + label.metadata_areas + label.boot_areas) < SECTOR // 16, "too many areas for a label")
    header = parse_area_header(area[:SECTOR], AREA_BEGIN)
    for location in filter(None, (header.committed, header.precommitted)):
        stretches = pieces(location, header.size)
        demand(sum(length for _, length in stretches) == location.size, "a text has another length than its pieces")
        demand(all(SECTOR <= at < at + length <= header.size for at, length in stretches), "not within the ring")
        check_text(b"".join(area[at : at + length] for at, length in stretches), location)


def read_lvm2_devices(data: bytes) -> None:
    """All that `dvm lvm2` makes of two devices: documents, tables, older texts.

    :raises DamagedError: there is no group on them.
    """
    devices = [_Device("/dev/one", data[:_WRITTEN]), _Device("/dev/two", data[_WRITTEN:])]
    surveyed = survey(devices)
    groups = assemble(surveyed)
    found = rescue(devices, surveyed, searched=_SEARCHED)
    for document in (scan_document(surveyed), groups_document(groups, ()), texts_document(found, found.texts)):
        msgspec.json.encode(document)
    if not groups:
        raise DamagedError("there is no group")
    for each in groups:
        built = build_tables(each)
        msgspec.json.encode(built.state)
        for name in built.left_out:
            with contextlib.suppress(UnsupportedError):
                build_tables(each, [name])
        msgspec.json.encode(convert(each, leave_out=True)[0])
