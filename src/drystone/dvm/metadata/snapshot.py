"""Snapshots: of a thin volume another thin one; of any other volume a classic one with a store of its own."""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import UsageError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import Snapshot, Thin, ThinPool
from drystone.dvm.metadata.edit import Ids, changed, check_free_name, check_visible, new_parts, replaced
from drystone.dvm.metadata.thin import thin_snapshot

CHUNK = 4096
"""Bytes of a classic snapshot's chunk unless another size is asked for."""


def snapshot(
    group: Group,
    origin: str,
    name: str,
    ids: Ids,
    *,
    size: int | None = None,
    chunk: int | None = None,
    policy: str = "anywhere",
    devices: Sequence[str] = (),
    tags: tuple[str, ...] = (),
    join: bool = False,
) -> Group:
    """The group with a snapshot of `origin`.

    :param size: bytes of the store for what changes; a thin volume's snapshot has none, any other needs one.
    :param chunk: bytes; None for that of the volume's other classic snapshots, which is the same for all, or CHUNK.
    :raises UsageError: such a volume has no snapshots, or a size is lacking or too much.
    """
    index = Index(group)
    volume = index.find(origin)
    check_visible(volume)
    if isinstance(volume, Thin) and size is None:
        return thin_snapshot(group, origin, name, ids, tags=tags, join=join)
    if isinstance(volume, ThinPool | Snapshot):
        raise UsageError(f"{origin} is a {volume.kind} and has no snapshots", kind=volume.kind)
    if size is None:
        raise UsageError(f"a snapshot of {origin} needs room for what changes", hint="--size", kind=volume.kind)
    check_free_name(index, name)
    others = [user.chunk for user in index.users(volume.uuid) if isinstance(user, Snapshot)]
    chunk = chunk or next(iter(others), CHUNK)
    copy = Snapshot(uuid=ids(), name=name, size=volume.size, tags=tags, origin=volume.uuid, cow="", chunk=chunk)
    parts = new_parts(index, copy, {"cow": size}, ids, policy, devices)
    return replaced(group, add=[changed(copy, cow=parts["cow"].uuid), *parts.values()])
