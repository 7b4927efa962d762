from __future__ import annotations

import pytest

from drystone.base.errors import NotFoundError, UsageError
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.testing.groups import ids, make_group

MIB = 1 << 20


def test_a_volume_goes_with_its_parts() -> None:
    group = create(make_group(), Wish("keep", MIB), ids("keep"))
    assert remove(create(group, Wish("db", MIB), ids(), "raid6"), ["db"]) == group


def test_what_is_built_upon_it_goes_too_or_is_in_the_way() -> None:
    group = create(make_group(), Wish("db", MIB), ids())
    group = snapshot(group, "db", "snap", ids("snap"), size=MIB)
    group = thin(thin_pool(group, "pool", MIB, ids("pool")), "pool", ["t1"], MIB, ids("thin"))
    for name, user in (("db", "snap"), ("pool", "t1")):
        with pytest.raises(UsageError, match=user):
            remove(group, [name])
    assert remove(group, ["pool", "db", "snap", "t1"]).volumes == ()


def test_parts_and_strangers_cannot_be_removed() -> None:
    group = create(make_group(), Wish("db", MIB), ids(), "raid1")
    with pytest.raises(UsageError, match="part of another"):
        remove(group, ["db:data0"])
    with pytest.raises(NotFoundError):
        remove(group, ["nothing"])
