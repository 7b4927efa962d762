"""When a pool needs another group: as a function of what its ihost sees."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from drystone.base.sizes import SECTOR
from drystone.cluster.agents.answers import PoolSeen
from drystone.cluster.model.cloning import room_for_notes
from drystone.cluster.model.dlv import Dlv, Role
from drystone.cluster.model.job import Job
from drystone.cluster.model.tables import LOW_WATER

_METADATA_BLOCK = 4096
"""Bytes."""
_LARGEST_METADATA = 16 << 30
"""Bytes: more than the kernel uses."""


class Need(NamedTuple):
    """Another group. :ivar size: bytes that it is to hold."""

    role: Role
    size: int


def find_need(dlv: Dlv, pool: PoolSeen | None, jobs: Collection[Job]) -> Need | None:
    """What a pool is short of; None: nothing, or a group is on its way.

    Of data, when less than the low water is free, and more could be written than there is room for: the volume once,
    once more for each snapshot, and what a clone notes. Of metadata, when less than a quarter is free. The new group is
    as large as the first one.
    """
    if pool is None or any(job.kind == "extend" for job in jobs):
        return None
    block = dlv.block * SECTOR
    room = pool.data_blocks * block
    most = dlv.size * (1 + len(dlv.snapshots)) + (room_for_notes(dlv.size, dlv.block) if dlv.source else 0)
    if (pool.data_blocks - pool.used_data) * block <= LOW_WATER and room < most:
        return Need("data", _first(dlv, "data"))
    is_short = 4 * (pool.metadata_blocks - pool.used_metadata) < pool.metadata_blocks
    if is_short and pool.metadata_blocks * _METADATA_BLOCK < _LARGEST_METADATA:
        return Need("metadata", _first(dlv, "metadata"))
    return None


def _first(dlv: Dlv, role: Role) -> int:
    return next(group.size for group in dlv.groups if group.role == role)
