from __future__ import annotations

from collections.abc import Callable

import pytest

from drystone.base.errors import ExhaustedError, RefusedError, UsageError
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.kinds import Linear, Row, Run, Striped, ThinPool
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.layers import cache, crypt, era
from drystone.dvm.metadata.size import extend, reduce
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.testing.groups import find, ids, make_group

MIB = 1 << 20


def test_extending_and_reducing_a_linear_volume_gives_it_back_as_it_was() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    large = extend(group, "db", by=3 * MIB - 1)
    volume = find(large, "db")
    assert isinstance(volume, Linear)
    assert volume.segments == (Run("disk0", 0, 7),)
    assert reduce(large, "db", size=4 * MIB, lose_data=True) == group


def test_a_striped_volume_grows_by_whole_rows() -> None:
    group = create(make_group(3, 10), Wish("db", 8 * MIB, 2), ids(), "striped")
    group = create(group, Wish("next", MIB, devices=("disk1",)), ids("next"))
    one = find(extend(group, "db", by=MIB), "db")
    assert isinstance(one, Striped)
    assert one.size == 10 * MIB
    assert one.rows == (Row((Run("disk0", 0, 4), Run("disk1", 0, 4))), Row((Run("disk0", 4, 1), Run("disk1", 5, 1))))
    with pytest.raises(ExhaustedError):
        extend(group, "db", by=14 * MIB, policy="contiguous")


def test_rows_that_continue_each_other_become_one() -> None:
    group = create(make_group(2), Wish("db", 8 * MIB, 2), ids(), "striped")
    volume = find(extend(group, "db", size=12 * MIB), "db")
    assert isinstance(volume, Striped)
    assert volume.rows == (Row((Run("disk0", 0, 6), Run("disk1", 0, 6))),)


@pytest.mark.parametrize(("kind", "step"), [("raid1", 1), ("raid5", 2), ("raid6", 2), ("raid10", 2)])
def test_the_legs_of_a_raid_set_grow_and_shrink_together(kind: str, step: int) -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids(), kind)
    large = extend(group, "db", by=1)
    assert find(large, "db").size == (4 + step) * MIB
    sizes = {each.size for each in large.volumes if ":data" in each.name}
    assert sizes == {(4 + step) // step * MIB}
    assert reduce(large, "db", size=4 * MIB, lose_data=True) == group


def test_a_pool_grows_in_data_and_metadata_and_never_shrinks() -> None:
    group = thin_pool(make_group(), "pool", 16 * MIB, ids())
    group = extend(extend(group, "pool", by=MIB), "pool:meta", by=MIB)
    pool = find(group, "pool")
    assert isinstance(pool, ThinPool)
    assert (pool.size, find(group, "pool:meta").size) == (17 * MIB, 3 * MIB)
    with pytest.raises(UsageError):
        reduce(group, "pool", by=MIB, lose_data=True)
    with pytest.raises(UsageError, match="part of pool"):
        extend(group, "pool:data", by=MIB)


def test_a_thin_volume_may_be_larger_than_its_pool() -> None:
    group = thin(thin_pool(make_group(), "pool", 16 * MIB, ids()), "pool", ["t1"], MIB, ids("thin"))
    assert find(extend(group, "t1", size=1 << 40), "t1").size == 1 << 40


def test_layers_grow_with_what_is_below_them() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    group = cache(era(group, "db", ids("era")), "db", 2 * MIB, ids("cache"))
    large = extend(group, "db", by=MIB)
    assert [find(large, name).size // MIB for name in ("db", "db:base", "db:base:base")] == [5, 5, 5]
    with pytest.raises(UsageError, match="a cache"):
        reduce(large, "db", by=MIB, lose_data=True)
    secret = crypt(create(make_group(), Wish("db", 4 * MIB), ids()), "db", "logon:db", ids("c"), lose_data=True)
    assert find(reduce(secret, "db", by=MIB, lose_data=True), "db:base").size == 3 * MIB


def test_a_volume_with_snapshots_keeps_its_size_and_the_store_may_grow() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    group = snapshot(group, "db", "snap", ids("snap"), size=MIB)
    with pytest.raises(UsageError, match="snapshots"):
        extend(group, "db", by=MIB)
    with pytest.raises(UsageError, match="snapshots"):
        reduce(group, "db", by=MIB, lose_data=True)
    assert find(extend(group, "snap:cow", by=MIB), "snap:cow").size == 2 * MIB


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        (extend, {"size": 4 * MIB}),
        (extend, {"by": 0}),
        (extend, {}),
        (extend, {"size": 9 * MIB, "by": 1}),
        (reduce, {"size": 4 * MIB, "lose_data": True}),
        (reduce, {"by": 4 * MIB, "lose_data": True}),
        (reduce, {"by": -1, "lose_data": True}),
        (reduce, {"by": 1, "lose_data": True}),
    ],
)
def test_sizes_that_change_nothing_are_refused(change: Callable[..., Group], numbers: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        change(create(make_group(), Wish("db", 4 * MIB), ids()), "db", **numbers)


def test_data_is_lost_on_request_only() -> None:
    with pytest.raises(RefusedError, match="beyond byte 3145728"):
        reduce(create(make_group(), Wish("db", 4 * MIB), ids()), "db", by=MIB)
