"""How far the kernel is with what it does by itself: raid legs that are rebuilt, snapshots that are merged."""

from __future__ import annotations

from collections.abc import Iterator

from drystone.dvm.groups.group import Group, Index, uuid_prefix
from drystone.dvm.groups.kinds import Raid, Snapshot, Volume
from drystone.dvm.reports.live import Live, LiveTarget
from drystone.kernel.dm.statuses import RaidStatus, SnapshotStatus


def rebuilt_sets(group: Group, live: Live) -> set[str]:
    """Names of the raid sets all of whose legs are in sync, and which do nothing.

    One that does something must be left alone: stopped as its sync begins it can bring the kernel down.
    """
    return {volume.name for volume in group.volumes if isinstance(volume, Raid) and _is_rebuilt(group, volume, live)}


def busy_sets(group: Group, live: Live) -> set[str]:
    """Names of the raid sets that are just being synchronised, rebuilt or checked."""
    return {
        volume.name
        for volume in group.volumes
        if isinstance(volume, Raid)
        and any(
            isinstance(status, RaidStatus) and status.action not in {"idle", "frozen"}
            for status in (each.parsed() for each in _targets(group, volume, live, "raid"))
        )
    }


def merged_snapshots(group: Group, live: Live) -> set[str]:
    """Names of the snapshots that are being merged and of which nothing is left to be copied back."""
    index = Index(group)
    found = set()
    for volume in group.volumes:
        if isinstance(volume, Snapshot) and volume.merging:
            targets = [*_targets(group, index.volumes[volume.origin], live, "snapshot-merge")]
            statuses = [each.parsed() for each in targets]
            # A store that holds no exceptions any more has its own records alone.
            if statuses and all(isinstance(s, SnapshotStatus) and s.allocated == s.metadata for s in statuses):
                found.add(volume.name)
    return found


def _is_rebuilt(group: Group, volume: Raid, live: Live) -> bool:
    statuses = [each.parsed() for each in _targets(group, volume, live, "raid")]
    return bool(statuses) and all(
        isinstance(each, RaidStatus)
        and each.action == "idle"
        and each.in_sync == each.sectors
        and set(each.health) <= {"A"}
        for each in statuses
    )


def _targets(group: Group, volume: Volume, live: Live, kind: str) -> Iterator[LiveTarget]:
    own = f"{uuid_prefix(group)}{volume.uuid}"
    for device in live.devices:
        if device.uuid in {own, f"{own}-real"}:
            yield from (each for each in device.targets if each.target == kind)
