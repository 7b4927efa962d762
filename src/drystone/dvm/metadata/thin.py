"""Thin pools, thin volumes, and their snapshots.

What a pool is to be told stands in the document: `messages` lead from transaction T-1 to T. Every change counts T on,
so between two of them the pool has to be told (`dvm transact update --activate`), unless `join` puts the second one
into the transaction of the first: that is right only as long as the messages were not sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import ExhaustedError, UsageError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Thin, ThinPool
from drystone.dvm.metadata.edit import (
    Ids,
    changed,
    check_free_name,
    check_no_snapshots,
    new_parts,
    replaced,
    whole_extents,
)

BLOCK = 64 << 10
"""Bytes of a pool's block unless another size is asked for."""
_LARGEST_ID = (1 << 24) - 1
_LEAST_METADATA, _MOST_METADATA = 2 << 20, 16 << 30
_BYTES_A_BLOCK = 64


def thin_pool(
    group: Group,
    name: str,
    size: int,
    ids: Ids,
    *,
    block: int = BLOCK,
    metadata_size: int | None = None,
    policy: str = "anywhere",
    devices: Sequence[str] = (),
    tags: tuple[str, ...] = (),
    no_zeroing: bool = False,
    error_if_full: bool = False,
) -> Group:
    """The group with a new, empty thin pool of `size` bytes for data.

    :param metadata_size: bytes; None for 64 a block, 2 MiB at least and 16 GiB at most.
    :raises ExhaustedError: there is no room. :raises UsageError: a block size that cannot be.
    """
    index = Index(group)
    check_free_name(index, name)
    if not 1 << 16 <= block <= 1 << 30 or block % (1 << 16):
        raise UsageError(f"a block of {block} bytes", hint="a multiple of 64 KiB up to 1 GiB")
    if metadata_size is None:
        metadata_size = min(max(size // block * _BYTES_A_BLOCK, _LEAST_METADATA), _MOST_METADATA)
    data_size = whole_extents(group, size) * group.extent_size
    pool = ThinPool(
        uuid=ids(),
        name=name,
        size=data_size,
        tags=tags,
        data="",
        metadata="",
        block=block,
        no_zeroing=no_zeroing,
        error_if_full=error_if_full,
    )
    parts = new_parts(index, pool, {"meta": metadata_size, "data": data_size}, ids, policy, devices)
    pool = changed(pool, data=parts["data"].uuid, metadata=parts["meta"].uuid)
    return replaced(group, add=[pool, *parts.values()])


def thin(
    group: Group,
    pool: str,
    names: Sequence[str],
    size: int,
    ids: Ids,
    *,
    tags: tuple[str, ...] = (),
    join: bool = False,
) -> Group:
    """The group with new thin volumes of `size` bytes each, all in one transaction of their pool.

    :raises ExistsError: a name is taken. :raises UsageError: `pool` is none.
    """
    index = Index(group)
    owner = find_pool(index, pool)
    if len(set(names)) != len(names):
        raise UsageError("one name stands twice")
    size = whole_extents(group, size) * group.extent_size
    made: list[AnyVolume] = []
    for at, name in enumerate(names):
        check_free_name(index, name)
        dev_id = owner.next_id + at
        made.append(Thin(uuid=ids(), name=name, size=size, tags=tags, pool=owner.uuid, dev_id=dev_id))
    messages = [f"create_thin {owner.next_id + at}" for at in range(len(names))]
    return replaced(group, change=[told(owner, messages, made=len(names), join=join)], add=made)


def thin_snapshot(
    group: Group, origin: str, name: str, ids: Ids, *, tags: tuple[str, ...] = (), join: bool = False
) -> Group:
    """The group with a snapshot of a thin volume: another thin volume of its pool, as large.

    :raises ExistsError: the name is taken. :raises UsageError: `origin` is no thin volume.
    """
    index = Index(group)
    source = index.find(origin)
    if not isinstance(source, Thin):
        raise UsageError(f"{origin} is no thin volume", kind=source.kind)
    check_free_name(index, name)
    pool = index.volumes[source.pool]
    assert isinstance(pool, ThinPool)
    dev_id = pool.next_id
    copy = Thin(uuid=ids(), name=name, size=source.size, tags=tags, pool=pool.uuid, dev_id=dev_id, origin=source.uuid)
    message = f"create_snap {dev_id} {source.dev_id}"
    return replaced(group, change=[told(pool, [message], made=1, join=join)], add=[copy])


def rollback(group: Group, name: str, snapshot: str, *, join: bool = False) -> Group:
    """The thin volume `name` gets what `snapshot` holds, another thin volume of its pool; that one stays as it is.

    What `name` held is deleted. It keeps its uuid, name and tags, and gets the size of the other one.
    In the pool it has a new id: a snapshot of the snapshot.

    :raises UsageError: they are no thin volumes of one pool, or one and the same, or `name` has classic snapshots.
    """
    index = Index(group)
    volume, source = index.find(name), index.find(snapshot)
    for each in (volume, source):
        if not isinstance(each, Thin):
            raise UsageError(
                f"{each.name} is a {each.kind}, no thin volume",
                hint="dvm metadata merge is for classic snapshots" if each.kind == "snapshot" else "",
                kind=each.kind,
            )
    assert isinstance(volume, Thin)
    assert isinstance(source, Thin)
    if volume.pool != source.pool or volume.uuid == source.uuid:
        raise UsageError(f"{name} and {snapshot} are not two volumes of one pool")
    check_no_snapshots(index, volume, "rolled back")
    pool = index.volumes[volume.pool]
    assert isinstance(pool, ThinPool)
    dev_id = pool.next_id
    orphans = [
        changed(each, origin=None) for each in group.volumes if isinstance(each, Thin) and each.origin == volume.uuid
    ]
    back = changed(volume, dev_id=dev_id, size=source.size, origin=source.uuid)
    messages = [f"create_snap {dev_id} {source.dev_id}", f"delete {volume.dev_id}"]
    return replaced(group, change=[*orphans, back, told(pool, messages, made=1, join=join)])


def find_pool(index: Index, name: str) -> ThinPool:
    """:raises NotFoundError: there is no such volume. :raises UsageError: it is no thin pool."""
    pool = index.find(name)
    if not isinstance(pool, ThinPool):
        raise UsageError(f"{name} is no thin pool", kind=pool.kind)
    return pool


def told(pool: ThinPool, messages: Sequence[str], *, made: int = 0, join: bool = False) -> ThinPool:
    """The pool with one transaction more, that has these messages; with `join` they are added to the last one's.

    :param made: how many new ids are used. :raises ExhaustedError: all ids were given out.
    """
    if pool.next_id + made > _LARGEST_ID + 1:
        raise ExhaustedError(f"{pool.name} has given out all its thin ids", hint="make a new pool")
    if join and not pool.messages:
        raise UsageError(f"{pool.name} has no transaction with messages to join")
    before = pool.messages if join else ()
    transaction_id = pool.transaction_id + (not join)
    return changed(pool, transaction_id=transaction_id, messages=(*before, *messages), next_id=pool.next_id + made)
