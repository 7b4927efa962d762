"""Volumes go, with all their parts; what they used is free."""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import UsageError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Snapshot, Thin, ThinPool
from drystone.dvm.metadata.edit import changed, check_visible, replaced
from drystone.dvm.metadata.thin import told


def remove(group: Group, names: Sequence[str], *, join: bool = False) -> Group:
    """The group without these volumes. What is built upon one of them (a snapshot, a pool's volumes) has to go with it.

    Thin volumes of a pool that stays are deleted in one transaction of it; see `thin.py` for `join`.

    :raises NotFoundError: no such volume. :raises UsageError: something that stays needs one of them.
    """
    index = Index(group)
    roots = [index.find(name) for name in names]
    for root in roots:
        check_visible(root)
    going = {each.uuid: each for root in roots for each in index.tree(root)}
    for root in roots:
        if isinstance(root, Snapshot) and root.merging and root.origin not in going:
            raise UsageError(
                f"{root.name} is being merged, and its origin needs it until that is done",
                hint="dvm metadata merge --finish",
                volume=root.name,
            )
    for root in roots:
        staying = [user.name for user in index.users(root.uuid) if user.uuid not in going]
        if staying:
            raise UsageError(
                f"{root.name} is needed by {', '.join(staying[:8])}",
                hint="remove these too, or first",
                volume=root.name,
            )
    change: dict[str, AnyVolume] = {}
    for volume in group.volumes:
        if isinstance(volume, Thin) and volume.uuid not in going and volume.origin in going:
            change[volume.uuid] = changed(volume, origin=None)
    for pool in group.volumes:
        gone = [each.dev_id for each in going.values() if isinstance(each, Thin) and each.pool == pool.uuid]
        if isinstance(pool, ThinPool) and pool.uuid not in going and gone:
            change[pool.uuid] = told(pool, [f"delete {dev_id}" for dev_id in gone], join=join)
    return replaced(group, change=change.values(), drop=going)
