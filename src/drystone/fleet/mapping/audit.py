"""A change in words, for the audit log."""

from __future__ import annotations

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.model import (
    BucketChange,
    Change,
    DiskChange,
    DrillChange,
    FleetChange,
    GroupChange,
    KeyChange,
    LeftoverChange,
    PlacementChange,
    PlacementRemoval,
    ServerChange,
)


def describe(change: Change) -> tuple[str, str, str]:
    """(what, on what, why): `why` has what it is then. Secrets are left out."""
    match change:
        case PlacementChange(placement=placement, why=why):
            return "placement", name_placement(placement), f"{why}: {spell(placement)}"
        case PlacementRemoval(id=id_, why=why):
            return "placement", id_, f"{why}: removed"
        case ServerChange(server=server, why=why):
            return "server", server.id, f"{why}: {server.url}, {'alive' if server.alive else 'dead'}"
        case DiskChange(disk=disk, why=why):
            return "disk", disk.disk_id, f"{why}: {disk.server}/{disk.name} {disk.mark}".rstrip()
        case LeftoverChange(leftover=leftover, why=why):
            return "leftover", f"{leftover.placement} on {leftover.disk_id}", why
        case BucketChange(bucket=bucket, why=why):
            return "bucket", bucket.name, why
        case KeyChange(key=key, why=why):
            return "key", key.access_key, f"{why}: {', '.join(f'{n}={r}' for n, r in sorted(key.rights.items()))}"
        case GroupChange(namespace=namespace, host=host, vbuckets=vbuckets, why=why):
            return "vbuckets", f"{namespace}/{host}", f"{why}: {len(vbuckets)} vbuckets"
        case DrillChange(record=record, host=host):
            return "drill", host, f"{'passed' if record.passed else 'FAILED'}: {record.text}"
        case FleetChange(fleet=fleet, why=why):
            return "fleet", fleet, why


def name_placement(placement: Placement) -> str:
    """`NAMESPACE/HOST`."""
    return f"{placement.namespace}/{placement.host}"


def spell(placement: Placement) -> str:
    """`epoch 3: *a/data_1 in sync, b/data_2 copying`; the star is at the leader."""
    members = ", ".join(
        f"{'*' if each.server == placement.leader else ''}{each.server}/{each.disk} {each.state.replace('_', ' ')}"
        for each in placement.members
    )
    return f"epoch {placement.epoch}: {members}"
