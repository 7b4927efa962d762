"""Names and tags."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from drystone.base.errors import NotFoundError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.metadata.edit import changed, check_free_name, check_visible, replaced
from drystone.dvm.metadata.edit import renamed as renamed_tree


def rename(group: Group, name: str, new: str) -> Group:
    """The group with a volume, and its parts, called otherwise. Uuids stay, so that an active device is renamed too.

    :raises NotFoundError: no such volume. :raises ExistsError: the new name is taken.
    """
    index = Index(group)
    volume = index.find(name)
    check_visible(volume)
    check_free_name(index, new)
    return replaced(group, change=renamed_tree(index, volume, new))


def rename_group(group: Group, new: str) -> Group:
    """The group called otherwise; all its active devices are renamed with it."""
    return replaced(group, name=new)


def tag(group: Group, name: str | None, *, add: Sequence[str] = (), drop: Sequence[str] = ()) -> Group:
    """The group with tags of a volume, a device (its uuid or path), or, when `name` is None, of itself changed.

    A tag that is there is not added twice.

    :raises NotFoundError: no such volume or device, or it has not a tag that is to go.
    """
    if name is None:
        return replaced(group, tags=_changed_tags(group.tags, add, drop))
    index = Index(group)
    if name in index.by_name or name in index.volumes:
        volume = index.find(name)
        return replaced(group, change=[changed(volume, tags=_changed_tags(volume.tags, add, drop))])
    device = index.find_device(name)
    change = msgspec.structs.replace(device, tags=_changed_tags(device.tags, add, drop))
    return replaced(group, devices=tuple(change if each is device else each for each in group.devices))


def _changed_tags(tags: tuple[str, ...], add: Sequence[str], drop: Sequence[str]) -> tuple[str, ...]:
    for each in drop:
        if each not in tags:
            raise NotFoundError(f"there is no tag {each!r} to take away")
    return tuple(dict.fromkeys([*(each for each in tags if each not in drop), *add]))
