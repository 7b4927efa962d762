"""Reports with LVM2's keys, for scripts that read `lvs --reportformat json --units b`.

Every value is text, sizes end in `B`, as LVM2 2.03 prints them. What we have no counterpart for is "".
"""

from __future__ import annotations

from collections.abc import Sequence

from drystone.dvm.reports.rows import DeviceRow, GroupRow, Report, SegmentRow, VolumeRow

_TYPES = {
    "raid1": "r", "raid5": "r", "raid6": "r", "raid10": "r",
    "thin_pool": "t", "thin": "V", "snapshot": "s", "cache": "C",
}  # fmt: skip
_TARGETS = {**_TYPES, "thin": "t"}
_HEALTH = {"failed": "F", "read-only": "M", "out of space": "D", "needs check": "M", "degraded": "r", "invalid": "I"}
_STRIPED = frozenset({"striped", "raid5", "raid6", "raid10"})
_SEGMENT_TYPES = {"raid5": "raid5_ls", "raid6": "raid6_zr", "thin_pool": "thin-pool"}

Rows = list[dict[str, str]]


def lvm_report(report: Report) -> dict[str, list[dict[str, Rows]]]:
    """The rows under the names `vg`, `pv`, `lv` and `seg`, as LVM2 nests them."""
    origins = {row.origin for row in report.lvs or () if row.kind == "snapshot"}
    found: dict[str, Rows] = {}
    if report.vgs is not None:
        found["vg"] = [_group(row) for row in report.vgs]
    if report.pvs is not None:
        found["pv"] = [_device(row) for row in report.pvs]
    if report.lvs is not None:
        found["lv"] = [_volume(row, is_origin=row.name in origins) for row in report.lvs]
    if report.segments is not None:
        found["seg"] = [_segment(row) for row in report.segments]
    return {"report": [found]}


def _size(size: int) -> str:
    return f"{size}B"


def _tags(tags: Sequence[str]) -> str:
    return ",".join(sorted(tags))


def _name(name: str) -> str:
    """A part in brackets: it has its whole's name, a colon, and its own."""
    return f"[{name}]" if ":" in name else name


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _group(row: GroupRow) -> dict[str, str]:
    return {
        "vg_name": row.name,
        "pv_count": str(row.devices),
        "lv_count": str(row.volumes),
        "snap_count": str(row.snapshots),
        "vg_attr": f"wz-{'p' if row.missing else '-'}n-",
        "vg_size": _size(row.size),
        "vg_free": _size(row.free),
        "vg_uuid": row.uuid,
        "vg_extent_size": _size(row.extent_size),
        "vg_extent_count": str(row.extents),
        "vg_free_count": str(row.free_extents),
        "vg_missing_pv_count": str(row.missing),
        "vg_tags": _tags(row.tags),
    }


def _device(row: DeviceRow) -> dict[str, str]:
    return {
        "pv_name": row.path,
        "vg_name": row.group,
        "pv_fmt": "drystone",
        "pv_attr": f"{'a' if row.allocatable else 'u'}-{'m' if row.missing else '-'}",
        "pv_size": _size(row.size),
        "pv_free": _size(row.free),
        "pv_used": _size(row.used),
        "dev_size": _size(row.device_size),
        "pe_start": _size(row.start),
        "pv_pe_count": str(row.extents),
        "pv_pe_alloc_count": str(row.extents - row.free_extents),
        "pv_uuid": row.uuid,
        "pv_tags": _tags(row.tags),
    }


def _volume(row: VolumeRow, *, is_origin: bool) -> dict[str, str]:
    live = row.live
    return {
        "lv_name": _name(row.name),
        "vg_name": row.group,
        "lv_attr": _attributes(row, is_origin=is_origin),
        "lv_size": _size(row.size),
        "pool_lv": row.pool or "",
        "origin": row.origin or "",
        "data_percent": _percent(live.data_percent if live else None),
        "metadata_percent": _percent(live.metadata_percent if live else None),
        "move_pv": "",
        "mirror_log": "",
        "copy_percent": _percent(live.copy_percent if live else None),
        "convert_lv": "",
        "lv_uuid": row.uuid,
        "lv_tags": _tags(row.tags),
        "segtype": _SEGMENT_TYPES.get(row.kind, row.kind),
        "devices": ",".join(row.devices),
    }


def _attributes(row: VolumeRow, *, is_origin: bool) -> str:
    """The ten letters of lv_attr: type, permission, allocation, minor, state, open, target, zeroing, health, skip."""
    live = row.live
    kind = "o" if is_origin else _TYPES.get(row.kind, "-")
    if row.part_of is not None:
        kind = "e" if ":meta" in row.name else "i" if ":data" in row.name else "-"
    state = "-" if live is None or not live.active else "s" if live.suspended else "a"
    health = "p" if row.missing else _HEALTH.get(live.health, "-") if live else "-"
    opened = "o" if live and live.open else "-"
    return f"{kind}{'r' if live and live.read_only else 'w'}i-{state}{opened}{_TARGETS.get(row.kind, '-')}-{health}-"


def _segment(row: SegmentRow) -> dict[str, str]:
    return {
        "lv_name": _name(row.volume),
        "vg_name": row.group,
        "stripes": str(row.legs),
        "segtype": _SEGMENT_TYPES.get(row.kind, row.kind),
        "seg_start": _size(row.start),
        "seg_size": _size(row.size),
        "stripe_size": _size(row.chunk if row.kind in _STRIPED else 0),
        "chunk_size": _size(0 if row.kind in _STRIPED else row.chunk),
        "seg_pe_ranges": " ".join(row.on),
    }
