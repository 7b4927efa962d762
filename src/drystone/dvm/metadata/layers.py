"""Volumes laid below another target: a cache, the record of eras, encryption. And taken out from below again.

The volume keeps its uuid and name, so that a mounted file system goes on; what it was becomes its part `NAME:base`.
"""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import RefusedError, UsageError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Cache, Crypt, Era, Snapshot, ThinPool
from drystone.dvm.metadata.edit import Ids, changed, check_visible, new_parts, pulled_up, pushed_down, replaced

_CACHE_METADATA = 4 << 20
_BYTES_A_CACHE_BLOCK = 24
"""Bytes of metadata a block: 16 for its mapping and its hint, and half as much for the trees above them."""
_ERA_METADATA = 4 << 20
_BYTES_AN_ERA_BLOCK = 12


def cache(
    group: Group,
    name: str,
    size: int,
    ids: Ids,
    *,
    block: int = 64 << 10,
    mode: str = "writethrough",
    policy: str = "anywhere",
    devices: Sequence[str] = (),
) -> Group:
    """A cache of `size` bytes on `devices` before the volume `name`.

    :param mode: writethrough; writeback, where the fast device holds the only copy of what was written last; or
        passthrough.
    :raises UsageError: that volume cannot have one, or has one.
    """
    index, volume = _coverable(group, name)
    base, *others = pushed_down(index, volume, "base", ids)
    top = Cache(
        uuid=volume.uuid, name=name, size=volume.size, tags=volume.tags,
        base=base.uuid, fast="", metadata="", block=block, mode=mode,
    )  # fmt: skip
    metadata = _CACHE_METADATA + size // max(block, 1) * _BYTES_A_CACHE_BLOCK
    parts = new_parts(index, top, {"meta": metadata, "fast": size}, ids, policy, devices)
    top = changed(top, fast=parts["fast"].uuid, metadata=parts["meta"].uuid)
    return replaced(group, change=[top, *others], add=[base, *parts.values()])


def change_cache(group: Group, name: str, *, mode: str | None = None, policy: str | None = None) -> Group:
    """The cache of a volume in another mode, or under another policy: `cleaner` writes back all that is dirty.

    :raises UsageError: it has no cache.
    """
    top = _find_layer(Index(group), name, Cache)
    assert isinstance(top, Cache)
    return replaced(group, change=[changed(top, mode=mode or top.mode, policy=policy or top.policy)])


def uncache(group: Group, name: str, *, is_clean: bool = False) -> Group:
    """The volume without its cache.

    :param is_clean: the caller has seen that no block is dirty (`dvm report lvs --live`).
    :raises RefusedError: the cache may hold what the volume below has not, and `is_clean` was not given.
    """
    index = Index(group)
    top = _find_layer(index, name, Cache)
    assert isinstance(top, Cache)
    if top.mode == "writeback" and not (is_clean and top.policy == "cleaner"):
        raise RefusedError(
            f"the cache of {name} may hold data that is nowhere else",
            hint="dvm metadata change-cache --policy cleaner, wait until nothing is dirty, then say --clean",
        )
    return _uncovered(group, index, top)


def era(
    group: Group,
    name: str,
    ids: Ids,
    *,
    block: int = 64 << 10,
    policy: str = "anywhere",
    devices: Sequence[str] = (),
) -> Group:
    """The volume `name`, from now on with a record of the era in which each block of it was last written.

    :raises UsageError: that volume cannot have one.
    """
    index, volume = _coverable(group, name)
    base, *others = pushed_down(index, volume, "base", ids)
    top = Era(uuid=volume.uuid, name=name, size=volume.size, tags=volume.tags, base=base.uuid, metadata="", block=block)
    metadata = _ERA_METADATA + volume.size // max(block, 1) * _BYTES_AN_ERA_BLOCK
    parts = new_parts(index, top, {"meta": metadata}, ids, policy, devices)
    top = changed(top, metadata=parts["meta"].uuid)
    return replaced(group, change=[top, *others], add=[base, *parts.values()])


def unera(group: Group, name: str) -> Group:
    """The volume without its record of eras. Its data stays.

    :raises UsageError: it has none.
    """
    index = Index(group)
    return _uncovered(group, index, _find_layer(index, name, Era))


def crypt(
    group: Group,
    name: str,
    key: str,
    ids: Ids,
    *,
    cipher: str = "aes-xts-plain64",
    key_size: int = 64,
    lose_data: bool = False,
) -> Group:
    """The volume `name`, from now on encrypted: what it holds reads as noise afterwards.

    :param key: where the kernel finds the key: `logon:DESCRIPTION`. :param key_size: bytes.
    :raises RefusedError: `lose_data` was not given.
    """
    index, volume = _coverable(group, name)
    if not lose_data:
        raise RefusedError(f"what {name} holds now would be unreadable", hint="say --lose-data", volume=name)
    base, *others = pushed_down(index, volume, "base", ids)
    top = Crypt(
        uuid=volume.uuid, name=name, size=volume.size, tags=volume.tags,
        base=base.uuid, cipher=cipher, key=key, key_size=key_size,
    )  # fmt: skip
    return replaced(group, change=[top, *others], add=[base])


def _coverable(group: Group, name: str) -> tuple[Index, AnyVolume]:
    index = Index(group)
    volume = index.find(name)
    check_visible(volume)
    if isinstance(volume, ThinPool | Snapshot):
        raise UsageError(f"{name} is a {volume.kind} and cannot be laid below another target", kind=volume.kind)
    return index, volume


def _find_layer(index: Index, name: str, kind: type[Cache | Era]) -> Cache | Era:
    volume = index.find(name)
    check_visible(volume)
    if not isinstance(volume, kind):
        raise UsageError(f"{name} is a {volume.kind}", hint="the outermost layer is taken away first", kind=volume.kind)
    return volume


def _uncovered(group: Group, index: Index, top: Cache | Era) -> Group:
    base = index.volumes[top.base]
    return replaced(group, change=pulled_up(index, top, base), drop=top.parts())
