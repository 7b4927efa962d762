"""The rows of reports, as values: what `report.py` makes, and what is printed."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

SCHEMA: Final = "drystone.dvm.report"
VERSION: Final = 1


class GroupRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group: sizes in bytes, `volumes` without parts."""

    name: str
    uuid: str
    extent_size: int
    extents: int
    free_extents: int
    size: int
    free: int
    devices: int
    missing: int
    volumes: int
    snapshots: int
    tags: tuple[str, ...]


class DeviceRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device: `size` is what extents have, `device_size` all of it. Bytes."""

    path: str
    uuid: str
    group: str
    size: int
    free: int
    used: int
    device_size: int
    start: int
    extents: int
    free_extents: int
    allocatable: bool
    missing: bool
    tags: tuple[str, ...]


class LiveColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What device-mapper says of a volume. Percents are from 0 to 100; None where a kind has none.

    :ivar health: "" when nothing is wrong; else what the kernel says: failed, read-only, out of space, needs check,
        degraded, invalid.
    :ivar dirty: blocks of a cache that are not written back.
    """

    active: bool
    open: bool = False
    suspended: bool = False
    read_only: bool = False
    data_percent: float | None = None
    metadata_percent: float | None = None
    copy_percent: float | None = None
    dirty: int | None = None
    health: str = ""


class VolumeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A volume. `part_of`, `pool` and `origin` are names; `devices` paths (or uuids); `missing` likewise."""

    name: str
    uuid: str
    group: str
    kind: str
    size: int
    part_of: str | None
    pool: str | None
    origin: str | None
    devices: tuple[str, ...]
    missing: tuple[str, ...]
    moving: bool
    tags: tuple[str, ...]
    live: LiveColumns | None = None


class SegmentRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of a volume: bytes [start, start + size) of it.

    :ivar on: PATH:FIRST-LAST extents, or the names of parts. :ivar to: where it is being moved to.
    """

    volume: str
    group: str
    kind: str
    start: int
    size: int
    legs: int
    chunk: int
    on: tuple[str, ...]
    to: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The reports that were asked for."""

    schema: Literal["drystone.dvm.report"]
    version: Literal[1]
    vgs: tuple[GroupRow, ...] | None = None
    pvs: tuple[DeviceRow, ...] | None = None
    lvs: tuple[VolumeRow, ...] | None = None
    segments: tuple[SegmentRow, ...] | None = None
