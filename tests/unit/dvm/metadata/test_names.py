from __future__ import annotations

import pytest

from drystone.base.errors import ExistsError, NotFoundError, UsageError
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.names import rename, rename_group, tag
from drystone.testing.groups import find, ids, make_group

MIB = 1 << 20


def test_a_volume_is_renamed_with_its_parts_and_keeps_its_uuid() -> None:
    group = create(make_group(), Wish("db", MIB), ids(), "raid1")
    new = rename(group, "db", "data")
    assert [volume.name for volume in new.volumes] == ["data", "data:meta0", "data:data0", "data:meta1", "data:data1"]
    assert [volume.uuid for volume in new.volumes] == [volume.uuid for volume in group.volumes]


def test_names_that_cannot_be_given() -> None:
    group = create(create(make_group(), Wish("db", MIB), ids(), "raid1"), Wish("log", MIB), ids("log"))
    with pytest.raises(ExistsError):
        rename(group, "db", "log")
    with pytest.raises(NotFoundError):
        rename(group, "nothing", "log")
    with pytest.raises(UsageError):
        rename(group, "db", "a b")
    with pytest.raises(UsageError, match="part of another"):
        rename(group, "db:data0", "mine")
    with pytest.raises(UsageError):
        rename_group(group, "a b")
    assert rename_group(group, "other").name == "other"


def test_tags_of_the_group_of_a_volume_and_of_a_device() -> None:
    group = create(make_group(), Wish("db", MIB), ids())
    group = tag(group, None, add=["site=a"])
    group = tag(group, "db", add=["hot", "hot", "new"])
    group = tag(group, "db", add=["old"], drop=["new"])
    group = tag(group, "/dev/disk1", add=["ssd"])
    assert (group.tags, find(group, "db").tags, group.devices[1].tags) == (("site=a",), ("hot", "old"), ("ssd",))
    with pytest.raises(NotFoundError):
        tag(group, "db", drop=["new"])
    with pytest.raises(UsageError):
        tag(group, "db", add=["a b"])
    with pytest.raises(NotFoundError):
        tag(group, "nothing", add=["x"])
