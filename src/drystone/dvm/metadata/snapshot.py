"""Snapshots: of a thin volume another thin one; of any other volume a classic one with a store of its own.

And back: a volume gets again what its snapshot holds. A thin one at once (`thin.rollback`); with a classic snapshot the
kernel copies back what had been saved, while the volume is in use and shows the old content from the first moment on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from drystone.base.errors import RefusedError, UsageError
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
    _check_no_merge(index, volume.uuid, origin)
    others = [user.chunk for user in index.users(volume.uuid) if isinstance(user, Snapshot)]
    chunk = chunk or next(iter(others), CHUNK)
    copy = Snapshot(uuid=ids(), name=name, size=volume.size, tags=tags, origin=volume.uuid, cow="", chunk=chunk)
    parts = new_parts(index, copy, {"cow": size}, ids, policy, devices)
    return replaced(group, add=[changed(copy, cow=parts["cow"].uuid), *parts.values()])


def begin_merge(group: Group, name: str) -> Group:
    """The group in which the origin of the classic snapshot `name` goes back to it; the snapshot is active no more.

    What was written to the origin since the snapshot was taken is lost when this is activated.

    :raises UsageError: it is none, or is being merged already; its origin has another that is.
    """
    index = Index(group)
    volume = index.find(name)
    if not isinstance(volume, Snapshot):
        hint = "dvm metadata rollback is for thin volumes" if isinstance(volume, Thin) else ""
        raise UsageError(f"{name} is a {volume.kind}, no classic snapshot", hint=hint, kind=volume.kind)
    _check_no_merge(index, volume.origin, index.volumes[volume.origin].name)
    return replaced(group, change=[changed(volume, merging=True)])


def finish_merge(group: Group, merged: Collection[str] | None, names: Sequence[str] = ()) -> Group:
    """The group without the snapshots that were merged; their stores are free.

    :param merged: names of those of which everything is copied back; None when the caller takes that upon himself.
    :param names: only these; all that are being merged without.
    :raises RefusedError: one is not done. :raises UsageError: nothing is being merged.
    """
    index = Index(group)
    chosen = [index.find(name) for name in names] or group.volumes
    going = [volume for volume in chosen if isinstance(volume, Snapshot) and volume.merging]
    if not going or (names and len(going) < len(names)):
        raise UsageError("nothing is being merged" + (f" of {', '.join(names)}" if names else ""))
    if merged is not None:
        waiting = [volume.name for volume in going if volume.name not in merged]
        if waiting:
            raise RefusedError(
                f"{', '.join(waiting[:8])}: not everything is copied back yet", hint="dvm report lvs --live shows it"
            )
    return replaced(group, drop=[part.uuid for volume in going for part in index.tree(volume)])


def _check_no_merge(index: Index, origin: str, name: str) -> None:
    """:raises UsageError: a snapshot is being merged into the volume."""
    for user in index.users(origin):
        if isinstance(user, Snapshot) and user.origin == origin and user.merging:
            raise UsageError(
                f"{user.name} is being merged into {name}",
                hint="wait, then dvm metadata merge --finish",
                volume=user.name,
            )
