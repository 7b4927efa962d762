"""What device-mapper says of a volume, as the columns of a report. Imported only when it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drystone.dvm.groups.group import Group, uuid_prefix
from drystone.dvm.groups.kinds import AnyVolume, Snapshot
from drystone.dvm.reports.live import LiveDevice, copied
from drystone.dvm.reports.rows import LiveColumns
from drystone.kernel.dm.statuses import CacheStatus, RaidStatus, SnapshotStatus, ThinPoolStatus, ThinStatus, Unusable


def live_columns(group: Group, devices: Mapping[str, LiveDevice], volume: AnyVolume) -> LiveColumns:
    """The columns of one volume. `devices`: by their device-mapper uuids."""
    uuid = f"{uuid_prefix(group)}{volume.uuid}"
    device = devices.get(uuid)
    if device is None:
        return LiveColumns(active=False)
    below = devices.get(f"{uuid}-real", device)
    columns: dict[str, Any] = {}
    for target in below.targets:
        columns |= _figures(target.parsed(), volume)
    pairs = [pair for target in below.targets if (pair := copied(target)) is not None]
    if pairs:
        columns["copy_percent"] = _percent(sum(done for done, _ in pairs), sum(whole for _, whole in pairs))
    return LiveColumns(
        active=True,
        open=device.open_count > 0,
        suspended=device.suspended,
        read_only=device.read_only,
        **columns,
    )


def _figures(status: object, volume: AnyVolume) -> dict[str, Any]:
    match status:
        case ThinPoolStatus():
            health = {"ro": "read-only", "out_of_data_space": "out of space"}.get(status.mode, "")
            return {
                "data_percent": _percent(status.used_data, status.total_data),
                "metadata_percent": _percent(status.used_metadata, status.total_metadata),
                "health": "needs check" if status.needs_check else health,
            }
        case ThinStatus():
            return {"data_percent": _percent(status.mapped * 512, volume.size)}
        case SnapshotStatus():
            return {"data_percent": _percent(status.allocated, status.total)}
        case CacheStatus():
            return {
                "data_percent": _percent(status.used_cache, status.total_cache),
                "metadata_percent": _percent(status.used_metadata, status.total_metadata),
                "dirty": status.dirty,
                "health": "needs check" if status.needs_check else "",
            }
        case RaidStatus():
            return {"health": "degraded" if {"D", "-"} & set(status.health) else ""}
        case Unusable():
            return {"health": "invalid" if isinstance(volume, Snapshot) else "failed"}
    return {}


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 100.0
