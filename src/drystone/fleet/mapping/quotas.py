"""Which buckets hold as much as they may. Pure."""

from __future__ import annotations

import msgspec

from drystone.fleet.mapping.model import BucketChange, Change
from drystone.fleet.mapping.view import View


def review_quotas(view: View) -> list[Change]:
    """Buckets that reached their quota, or are below it again, by what their disks last told."""
    limited = {name: bucket for name, bucket in view.model.buckets.items() if bucket.quota or bucket.full}
    if not limited:
        return []
    used = dict.fromkeys(limited, 0)
    for placement in view.model.placements.values():
        if placement.namespace in used:
            sizes = (held.size for held in view.held_by_placement.get(placement.id, ()))
            used[placement.namespace] += max(sizes, default=0)
    changes: list[Change] = []
    for name, bucket in limited.items():
        full = 0 < bucket.quota <= used[name]
        if full != bucket.full:
            why = f"{used[name]} of {bucket.quota} bytes are used"
            changes.append(BucketChange(msgspec.structs.replace(bucket, full=full), why))
    return changes
