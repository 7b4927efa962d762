"""Convoy's JSON documents as values. Nothing in them is believed before it was looked at.

Older programs write `UUID`, `VolumeUUID` and numbers; later ones `Name`, `VolumeName` and numbers as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from drystone.backup.convoy.layout import is_sum
from drystone.base.clock import format_rfc3339
from drystone.base.errors import DamagedError

BLOCK = 2 << 20
"""Bytes of a block, always."""

LARGEST = 1 << 30
"""Bytes of a document: the map of 18 TiB."""

_LARGEST_IMAGE = 1 << 62
Kind = TypeVar("Kind")

_RUBY = "%a %b %d %H:%M:%S %z %Y"


class _Block(msgspec.Struct, frozen=True, gc=False):
    offset: int = msgspec.field(name="Offset")
    checksum: str = msgspec.field(name="BlockChecksum")


class _SingleFile(msgspec.Struct, frozen=True):
    path: str = msgspec.field(name="FilePath", default="")


class _Backup(msgspec.Struct, frozen=True):
    uuid: str = msgspec.field(name="UUID", default="")
    name: str = msgspec.field(name="Name", default="")
    driver: str = msgspec.field(name="Driver", default="")
    volume_uuid: str = msgspec.field(name="VolumeUUID", default="")
    volume_name: str = msgspec.field(name="VolumeName", default="")
    snapshot_uuid: str = msgspec.field(name="SnapshotUUID", default="")
    snapshot_name: str = msgspec.field(name="SnapshotName", default="")
    snapshot_created: str = msgspec.field(name="SnapshotCreatedAt", default="")
    created: str = msgspec.field(name="CreatedTime", default="")
    size: int | str | None = msgspec.field(name="Size", default=None)
    blocks: list[_Block] | None = msgspec.field(name="Blocks", default=None)
    single: _SingleFile | None = msgspec.field(name="SingleFile", default=None)


class _Volume(msgspec.Struct, frozen=True):
    uuid: str = msgspec.field(name="UUID", default="")
    name: str = msgspec.field(name="Name", default="")
    driver: str = msgspec.field(name="Driver", default="")
    size: int | str | None = msgspec.field(name="Size", default=None)
    created: str = msgspec.field(name="CreatedTime", default="")


@dataclass(frozen=True, slots=True)
class Volume:
    """What a store knows of a volume. `size` is bytes, 0 where it is not written; `created` is RFC 3339."""

    ids: tuple[str, str]
    name: str
    driver: str
    size: int
    created: str


@dataclass(frozen=True, slots=True)
class BlockMap:
    """What a backup holds.

    :ivar ids: the backup's UUID and name, as it says itself; "" where it does not.
    :ivar volumes: its volume's, likewise.
    :ivar size: bytes; 0 where only the volume says it.
    :ivar offsets: int64 (n), ascending: bytes.
    :ivar sums: S64 (n): the hex sum of the block at each offset. Blocks that are not named are zeros.
    :ivar file: the key of the one file that the backup is, "" for an image.
    """

    ids: tuple[str, str]
    volumes: tuple[str, str]
    driver: str
    snapshot: str
    snapshot_name: str
    snapshot_created: str
    created: str
    size: int
    offsets: NDArray[np.int64]
    sums: NDArray[np.bytes_]
    file: str


def parse_volume(data: bytes, what: str) -> Volume:
    """The document of a volume; `what` names it in errors. :raises DamagedError: it is wrong."""
    found = _decode(data, _Volume, what)
    return Volume(
        (found.uuid, found.name), found.name, found.driver, _read_size(found.size, what), _read_time(found.created)
    )


def parse_backup(data: bytes, what: str) -> BlockMap:
    """The document of a backup; `what` names it in errors. :raises DamagedError: it is wrong."""
    found = _decode(data, _Backup, what)
    offsets, sums = _read_blocks(found.blocks or [], what)
    file = found.single.path if found.single is not None else ""
    if file and len(offsets):
        raise DamagedError(f"{what} names blocks and a single file")
    return BlockMap(
        (found.uuid, found.name),
        (found.volume_uuid, found.volume_name),
        found.driver,
        found.snapshot_uuid or found.snapshot_name,
        found.snapshot_name,
        _read_time(found.snapshot_created),
        _read_time(found.created),
        _read_size(found.size, what),
        offsets,
        sums,
        file,
    )


def _decode(data: bytes, kind: type[Kind], what: str) -> Kind:
    if len(data) > LARGEST:
        raise DamagedError(f"{what} has {len(data)} bytes, {LARGEST} are the most")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{what} is wrong: {error}") from error


def _read_size(size: int | str | None, what: str) -> int:
    """Bytes from a number, or from a number in text."""
    if isinstance(size, str):
        if not (size.isascii() and size.isdecimal() and len(size) < 20):
            raise DamagedError(f"{what} tells a size of {size[:40]!r}")
        size = int(size)
    size = size or 0
    if not 0 <= size <= _LARGEST_IMAGE:
        raise DamagedError(f"{what} tells a size of {size} bytes")
    return size


def _read_time(text: str) -> str:
    """RFC 3339 of Convoy's spelling; what is spelt otherwise stays as it is."""
    try:
        return format_rfc3339(datetime.strptime(text, _RUBY))  # noqa: DTZ007  # it has %z
    except ValueError:
        return text


def _read_blocks(blocks: list[_Block], what: str) -> tuple[NDArray[np.int64], NDArray[np.bytes_]]:
    """Offsets, ascending, and sums."""
    for each in blocks:
        if not 0 <= each.offset <= _LARGEST_IMAGE or each.offset % BLOCK:
            raise DamagedError(f"{what} names a block at byte {each.offset}: no multiple of {BLOCK}")
        if not is_sum(each.checksum):
            raise DamagedError(f"{what} names a block {each.checksum[:80]!r}, which is no sum", offset=each.offset)
    offsets = np.array([each.offset for each in blocks], dtype=np.int64)
    sums = np.array([each.checksum for each in blocks], dtype="S64")
    order = np.argsort(offsets, kind="stable")
    offsets, sums = offsets[order], sums[order]
    if (twice := np.flatnonzero(offsets[1:] == offsets[:-1])).size:
        raise DamagedError(f"{what} names two blocks at byte {offsets[twice[0]]}")
    return offsets, sums
