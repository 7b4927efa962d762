"""LVM2's metadata made for tests: devices with label, areas and texts, written by the format's page and nothing else.

It shares no code with `formats.lvm2`, but for the checksum's number: zlib's CRC-32 begun at 0xf597a6cf.
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drystone.base.errors import KernelError

SECTOR = 512
_PAGE = 4096
AREA_BEGIN = 4096
AREA_SIZE = (1 << 20) - AREA_BEGIN
GROUP_UUID = "Group0-0000-0000-0000-0000-0000-000001"


@dataclass(frozen=True, slots=True)
class MemoryDevice:
    """Bytes as a device."""

    path: str
    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`."""
        assert 0 <= offset <= offset + length <= self.size
        return self.data[offset : offset + length]


@dataclass(frozen=True, slots=True)
class BrokenDevice:
    """A device whose `pages` (of 4096 bytes, by number) cannot be read."""

    inner: MemoryDevice
    pages: range

    @property
    def path(self) -> str:
        """Its path."""
        return self.inner.path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.inner.size

    def read(self, offset: int, length: int) -> bytes:
        """:raises KernelError: EIO: one of the pages is among these bytes."""
        if offset < self.pages.stop * _PAGE and self.pages.start * _PAGE < offset + length:
            raise KernelError("read", errno.EIO, device=self.path)
        return self.inner.read(offset, length)


def device_uuid(number: int) -> str:
    """The UUID of the physical volume `number`."""
    return f"Device-0000-0000-0000-0000-0000-{number:06d}"


def volume_uuid(number: int) -> str:
    """The UUID of the logical volume `number`."""
    return f"Volume-0000-0000-0000-0000-0000-{number:06d}"


def checksum(data: bytes) -> int:
    """As LVM2 reckons it."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def write_label(
    uuid: str,
    size: int,
    areas: Sequence[tuple[int, int]] = ((AREA_BEGIN, AREA_SIZE),),
    *,
    sector: int = 1,
    extension: int = 2,
    data_begin: int = 1 << 20,
) -> bytes:
    """The label's sector."""
    body = uuid.replace("-", "").encode() + struct.pack("<Q", size)
    for ranges in ([(data_begin, 0)], areas):
        body += b"".join(struct.pack("<QQ", *each) for each in ranges) + bytes(16)
    if extension:
        body += struct.pack("<II", extension, 1) + bytes(16)
    checked = (struct.pack("<I8s", 32, b"LVM2 001") + body).ljust(SECTOR - 20, b"\0")
    return struct.pack("<8sQI", b"LABELONE", sector, checksum(checked)) + checked


def write_area_header(begin: int, size: int, slots: Sequence[tuple[int, int, int, int]]) -> bytes:
    """The header of an area; a slot is (offset, size, checksum, flags)."""
    body = b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, begin, size)
    body = (body + b"".join(struct.pack("<QQII", *slot) for slot in slots)).ljust(SECTOR - 4, b"\0")
    return struct.pack("<I", checksum(body)) + body


def write_area(
    texts: Sequence[bytes],
    begin: int = AREA_BEGIN,
    size: int = AREA_SIZE,
    *,
    first: int = SECTOR,
    precommitted: bool = False,
    ignored: bool = False,
) -> bytes:
    """An area whose ring holds `texts`, one after the other from byte `first` on; the last one is the committed one.

    :param precommitted: the last one is precommitted, the one before it committed.
    """
    area = bytearray(size)
    slots: list[tuple[int, int, int, int]] = []
    at = first
    for text in texts:
        data = text + b"\0"
        slots.append((at, len(data), checksum(data), int(ignored)))
        fits = min(len(data), size - at)
        area[at : at + fits] = data[:fits]
        area[SECTOR : SECTOR + len(data) - fits] = data[fits:]
        at += -(-len(data) // SECTOR) * SECTOR
        if at >= size:
            at -= size - SECTOR
    area[:SECTOR] = write_area_header(begin, size, slots[-2:] if precommitted else slots[-1:])
    return bytes(area)


def write_device(
    number: int, texts: Sequence[bytes], size: int = 4 << 20, *, path: str | None = None, **area: int
) -> MemoryDevice:
    """A device with a label and one area of the usual place; `area` as `write_area` takes it."""
    data = bytearray(size)
    data[SECTOR : 2 * SECTOR] = write_label(device_uuid(number), size)
    if texts:
        data[AREA_BEGIN : AREA_BEGIN + AREA_SIZE] = write_area(texts, **area)  # type: ignore[arg-type]
    else:
        data[AREA_BEGIN : AREA_BEGIN + SECTOR] = write_area_header(AREA_BEGIN, AREA_SIZE, ())
    return MemoryDevice(path or f"/dev/test{number}", bytes(data))


def linear(start: int, extents: int, device: str, extent: int) -> str:
    """A linear segment's section."""
    return striped(start, extents, [(device, extent)])


def striped(start: int, extents: int, places: Sequence[tuple[str, int]], chunk: int = 128) -> str:
    """A striped segment's section; the chunk in sectors."""
    size = f"stripe_size = {chunk}\n" if len(places) > 1 else ""
    listed = ",\n".join(f'"{name}", {extent}' for name, extent in places)
    return (
        f'start_extent = {start}\nextent_count = {extents}\n\ntype = "striped"\n'
        f"stripe_count = {len(places)}\n{size}\nstripes = [\n{listed}\n]\n"
    )


def raid1(extents: int, names: Sequence[str], region: int = 4096) -> str:
    """A raid1 segment's section over images and their metadata `NAME_rmeta_N`, `NAME_rimage_N`."""
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        f'start_extent = 0\nextent_count = {extents}\ntype = "raid1"\ndevice_count = {len(names) // 2}\n'
        f"region_size = {region}\nraids = [{listed}]\n"
    )


def mirror(extents: int, names: Sequence[str], log: str = "", region: int = 1024) -> str:
    """A mirror segment's section."""
    listed = ", ".join(f'"{name}", 0' for name in names)
    logged = f'mirror_log = "{log}"\n' if log else ""
    return (
        f'start_extent = 0\nextent_count = {extents}\ntype = "mirror"\nmirror_count = {len(names)}\n'
        f"{logged}region_size = {region}\nmirrors = [{listed}]\n"
    )


def write_volume(
    number: int, segments: Sequence[str], *, status: str = '"READ", "WRITE", "VISIBLE"', more: str = ""
) -> str:
    """The inside of a volume's section."""
    inner = "".join(f"\nsegment{n} {{\n{each}}}\n" for n, each in enumerate(segments, start=1))
    return (
        f'id = "{volume_uuid(number)}"\nstatus = [{status}]\nflags = []\n{more}creation_time = 1700000000\n'
        f'creation_host = "host"\nsegment_count = {len(segments)}\n{inner}'
    )


def write_text(
    volumes: Mapping[str, str],
    *,
    devices: int = 1,
    seqno: int = 1,
    name: str = "vg",
    uuid: str = GROUP_UUID,
    extents: int = 10,
    extent_size: int = 512,
    device_size: int = 8192,
    description: str = "Write from a test.",
    status: str = '"RESIZEABLE", "READ", "WRITE"',
    more: str = "",
    device_more: str = "",
) -> bytes:
    """A group's text. Sizes are sectors; `volumes`: by name, as `write_volume` gives them."""
    physical = "".join(
        f'\npv{n} {{\nid = "{device_uuid(n)}"\ndevice = "/dev/old{n}"\n\nstatus = ["ALLOCATABLE"]\nflags = []\n'
        f"{device_more}dev_size = {device_size}\npe_start = 2048\npe_count = {extents}\n}}\n"
        for n in range(devices)
    )
    logical = "".join(f"\n{key} {{\n{inner}}}\n" for key, inner in volumes.items())
    section = f"logical_volumes {{\n{logical}}}\n\n" if volumes else "\n"
    return (
        f'{name} {{\nid = "{uuid}"\nseqno = {seqno}\nformat = "lvm2"\nstatus = [{status}]\nflags = []\n'
        f"{more}extent_size = {extent_size}\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n\n"
        f"physical_volumes {{\n{physical}}}\n\n{section}}}\n"
        "# Generated by LVM2 version 2.03.16(2) (2022-05-18): Sat Nov 21 16:28:03 2026\n\n"
        f'contents = "Text Format Volume Group"\nversion = 1\n\ndescription = "{description}"\n\n'
        'creation_host = "host"\t# Linux host\ncreation_time = 1700000000\t# some day\n\n'
    ).encode()
