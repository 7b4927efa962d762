"""Bytes of the device-mapper ioctl interface, and the values in them. No input or output happens here.

Source: Linux `include/uapi/linux/dm-ioctl.h` (the structures) and `drivers/md/dm-ioctl.c` (what they mean). All
numbers are in the machine's own byte order. Lengths and offsets of targets are in sectors of 512 bytes.

    header   struct dm_ioctl, 312 bytes; the kernel reads the first 305 (up to `data`) as its shortest call
    load     header, then one dm_target_spec (40 bytes) and its text a target; `next` counts from the spec itself
    status   header, then the same; `next` counts from the beginning of the data, and points past the text
    list     dm_name_list: `next` counts from the entry itself, 0 in the last; since 4.37 the event number follows
             the name at the next multiple of 8, then flags, and since 4.45 the uuid where the flags say so
    versions dm_target_versions: `next` as in the list
    deps     a count, padding, and that many device numbers of 64 bits

Every parser takes any bytes: what does not fit is a DamagedError, never a crash, a hang or an endless answer.
"""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Iterator, Sequence

import msgspec

from drystone.base.errors import DamagedError
from drystone.kernel.dm.abc import DeviceEntry, DeviceInfo, DeviceNumber, TableLine, TargetStatus, TargetVersion

INTERFACE = (4, 0, 0)
"""The version a call says it speaks: the kernel asks for its own major number and a minor not above its own."""

_HEADER = struct.Struct("=3I 2I I i 3I Q 128s 129s 7x")
_SPEC = struct.Struct("=QQiI16s")
_LIST_ENTRY = struct.Struct("=QI")
_LIST_TAIL = struct.Struct("=II")
_VERSION_ENTRY = struct.Struct("=4I")
_DEPS = struct.Struct("=I4x")
_MESSAGE = struct.Struct("=Q")

HEADER_SIZE = _HEADER.size
"""Bytes of struct dm_ioctl; data begins there."""

LONGEST_NAME = 127
LONGEST_UUID = 128
LONGEST_TARGET = 15
"""Bytes, without the NUL at the end."""

_LIST_HAS_UUID = 1
_LIST_TAIL_SINCE = (4, 37)

LIST_UUIDS_SINCE = (4, 45)
"""The interface (major, minor) whose device list carries uuids when asked by Flag.UUID (Linux 5.13)."""

SECRET_TARGETS = frozenset({"crypt", "integrity"})
"""Targets whose table holds keys: their calls are marked SECURE_DATA, so that the kernel wipes its copies."""


class Command(enum.IntEnum):
    """The number of each call (DM_*_CMD)."""

    VERSION = 0
    LIST_DEVICES = 2
    DEV_CREATE = 3
    DEV_REMOVE = 4
    DEV_RENAME = 5
    DEV_SUSPEND = 6
    DEV_STATUS = 7
    DEV_WAIT = 8
    TABLE_LOAD = 9
    TABLE_CLEAR = 10
    TABLE_DEPS = 11
    TABLE_STATUS = 12
    LIST_VERSIONS = 13
    TARGET_MSG = 14


class Flag:
    """The bits of dm_ioctl.flags that are used here (DM_*_FLAG): plain numbers, as every answer is read by them."""

    READONLY = 1 << 0
    SUSPEND = 1 << 1
    PERSISTENT_DEV = 1 << 3
    STATUS_TABLE = 1 << 4
    ACTIVE_PRESENT = 1 << 5
    INACTIVE_PRESENT = 1 << 6
    BUFFER_FULL = 1 << 8
    SKIP_LOCKFS = 1 << 10
    NOFLUSH = 1 << 11
    QUERY_INACTIVE_TABLE = 1 << 12
    UEVENT_GENERATED = 1 << 13
    UUID = 1 << 14
    SECURE_DATA = 1 << 15
    DATA_OUT = 1 << 16
    DEFERRED_REMOVE = 1 << 17


def request_number(command: Command) -> int:
    """The ioctl number: read and write, size of the header, type 0xfd."""
    return 3 << 30 | HEADER_SIZE << 16 | 0xFD << 8 | command


class Header(msgspec.Struct, frozen=True):
    """struct dm_ioctl without its lengths of the buffer. `device` 0: none is named by number."""

    version: tuple[int, int, int] = INTERFACE
    data_size: int = 0
    data_start: int = HEADER_SIZE
    target_count: int = 0
    open_count: int = 0
    flags: int = 0
    event_nr: int = 0
    device: int = 0
    name: str = ""
    uuid: str = ""


def encode_device(number: DeviceNumber) -> int:
    """The 64-bit ("huge") device number of the kernel: minor in bits 0 to 7 and 20 to 31, major in 8 to 19."""
    return (number.minor & 0xFF) | (number.major & 0xFFF) << 8 | (number.minor & ~0xFF) << 12


def decode_device(value: int) -> DeviceNumber:
    """The inverse of `encode_device`."""
    return DeviceNumber((value & 0xFFF00) >> 8, (value & 0xFF) | (value >> 12 & 0xFFF00))


def pack_request(header: Header, data: bytes = b"", *, size: int = 0) -> bytearray:
    """A buffer for one call: header, data, and zeros up to `size` bytes or what the data needs.

    Name and uuid must fit (see LONGEST_NAME, LONGEST_UUID); who lets people choose them looks first.
    """
    name, uuid = os.fsencode(header.name), os.fsencode(header.uuid)
    assert len(name) <= LONGEST_NAME, "checked by the caller"
    assert len(uuid) <= LONGEST_UUID, "checked by the caller"
    length = max(size, HEADER_SIZE + len(data))
    buffer = bytearray(length)
    _HEADER.pack_into(
        buffer,
        0,
        *header.version,
        length,
        HEADER_SIZE,
        header.target_count,
        header.open_count,
        header.flags,
        header.event_nr,
        0,
        header.device,
        name,
        uuid,
    )
    buffer[HEADER_SIZE : HEADER_SIZE + len(data)] = data
    return buffer


def parse_header(buffer: bytes | bytearray) -> Header:
    """The header of an answer.

    :raises DamagedError: shorter than a header.
    """
    if len(buffer) < HEADER_SIZE:
        raise DamagedError(f"a device-mapper answer of {len(buffer)} bytes has no header")
    fields = _HEADER.unpack_from(buffer)
    return Header(
        version=(fields[0], fields[1], fields[2]),
        data_size=fields[3],
        data_start=fields[4],
        target_count=fields[5],
        open_count=fields[6],
        flags=fields[7],
        event_nr=fields[8],
        device=fields[10],
        name=_text(fields[11]),
        uuid=_text(fields[12]),
    )


def parse_data(buffer: bytes | bytearray, header: Header) -> bytes:
    """The bytes after the header that the kernel says it filled.

    :raises DamagedError: its lengths do not lie within the buffer.
    """
    if not header.data_start <= header.data_size <= len(buffer):
        raise DamagedError(
            f"a device-mapper answer says its data is {header.data_start} to {header.data_size} of {len(buffer)} bytes"
        )
    return bytes(buffer[header.data_start : header.data_size])


def device_info(header: Header) -> DeviceInfo:
    """What a header says of its device."""
    flags = header.flags
    return DeviceInfo(
        name=header.name,
        uuid=header.uuid,
        number=decode_device(header.device),
        open_count=header.open_count,
        target_count=header.target_count,
        event_nr=header.event_nr,
        suspended=bool(flags & Flag.SUSPEND),
        read_only=bool(flags & Flag.READONLY),
        live_table=bool(flags & Flag.ACTIVE_PRESENT),
        inactive_table=bool(flags & Flag.INACTIVE_PRESENT),
        deferred_remove=bool(flags & Flag.DEFERRED_REMOVE),
    )


def pack_table(table: Sequence[TableLine]) -> bytes:
    """The targets of a load. A type longer than LONGEST_TARGET bytes must have been refused before."""
    pieces: list[bytes] = []
    for line in table:
        params = os.fsencode(line.params) + b"\0"
        length = _round_up(_SPEC.size + len(params))
        pieces.append(_SPEC.pack(line.start, line.length, 0, length, os.fsencode(line.target)))
        pieces.append(params.ljust(length - _SPEC.size, b"\0"))
    return b"".join(pieces)


def parse_targets(data: bytes, count: int) -> list[TargetStatus]:
    """The `count` targets of a status or table answer; `next` counts from the beginning of `data`.

    :raises DamagedError: they do not lie within the data, or `next` leads backwards.
    """
    found: list[TargetStatus] = []
    at = 0
    for _ in range(count):
        if at + _SPEC.size > len(data):
            raise DamagedError(f"target {len(found)} of {count} is not within the {len(data)} bytes of the answer")
        start, length, _, following, kind = _SPEC.unpack_from(data, at)
        begin = at + _SPEC.size
        if following < begin:
            raise DamagedError(f"target {len(found)} of a device-mapper answer leads back to byte {following}")
        found.append(TargetStatus(start, length, _text(kind), _text(data[begin:following])))
        at = following
    return found


def parse_table(data: bytes, count: int) -> list[TableLine]:
    """The same as table lines."""
    return [TableLine(each.start, each.length, each.target, each.text) for each in parse_targets(data, count)]


def parse_list(data: bytes, version: tuple[int, int, int]) -> list[DeviceEntry]:
    """The entries of a device list. Event numbers and uuids are there since interface 4.37; before, 0 and "".

    :raises DamagedError: an entry does not lie within the data.
    """
    found: list[DeviceEntry] = []
    for at, end in _chain(data, _LIST_ENTRY, 1):
        device = _LIST_ENTRY.unpack_from(data, at)[0]
        if not device and not found:
            return []  # an empty list is one entry without a number
        stop = data.find(b"\0", at + _LIST_ENTRY.size, end)
        if stop < 0:
            raise DamagedError(f"entry {len(found)} of the device list has a name without an end")
        event_nr, uuid = 0, ""
        tail = _round_up(stop + 1)
        if version[:2] >= _LIST_TAIL_SINCE and tail + _LIST_TAIL.size <= end:
            event_nr, flags = _LIST_TAIL.unpack_from(data, tail)
            if flags & _LIST_HAS_UUID:
                uuid = _text(data[tail + _LIST_TAIL.size : end])
        name = os.fsdecode(data[at + _LIST_ENTRY.size : stop])
        found.append(DeviceEntry(name, decode_device(device), event_nr, uuid))
    return found


def parse_versions(data: bytes) -> list[TargetVersion]:
    """The entries of the list of target types.

    :raises DamagedError: an entry does not lie within the data.
    """
    found: list[TargetVersion] = []
    for at, end in _chain(data, _VERSION_ENTRY, 0):
        _, major, minor, patch = _VERSION_ENTRY.unpack_from(data, at)
        found.append(TargetVersion(_text(data[at + _VERSION_ENTRY.size : end]), (major, minor, patch)))
    return found


def parse_deps(data: bytes) -> list[DeviceNumber]:
    """The device numbers of a deps answer.

    :raises DamagedError: there are fewer bytes than the count says.
    """
    if len(data) < _DEPS.size:
        raise DamagedError(f"a list of dependencies of {len(data)} bytes has no count")
    (count,) = _DEPS.unpack_from(data)
    if _DEPS.size + count * 8 > len(data):
        raise DamagedError(f"{count} dependencies do not fit in the {len(data)} bytes of the answer")
    return [decode_device(value) for value in struct.unpack_from(f"={count}Q", data, _DEPS.size)]


def pack_message(text: str, sector: int) -> bytes:
    """struct dm_target_msg and its text."""
    return _MESSAGE.pack(sector) + os.fsencode(text) + b"\0"


def pack_text(text: str) -> bytes:
    """A new name or uuid, as a rename takes it."""
    return os.fsencode(text) + b"\0"


def parse_text(data: bytes) -> str:
    """Text up to its NUL, as the answer to a message comes."""
    return _text(data)


def _chain(data: bytes, entry: struct.Struct, next_field: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of entries that each say how far the next one is; the last says 0 and ends with the data."""
    at = 0
    while data:
        if at + entry.size > len(data):
            raise DamagedError(f"an entry at byte {at} is not within the {len(data)} bytes of the answer")
        step = entry.unpack_from(data, at)[next_field]
        if step == 0:
            yield at, len(data)
            return
        if step < entry.size:
            raise DamagedError(f"the entry at byte {at} of a device-mapper answer is {step} bytes long")
        yield at, min(at + step, len(data))
        at += step


def _round_up(length: int) -> int:
    return length + 7 & ~7


def _text(data: bytes) -> str:
    return os.fsdecode(data.split(b"\0", 1)[0])
