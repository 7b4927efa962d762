from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError, ExistsError, UsageError
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.kinds import Thin, ThinPool
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.edit import changed, replaced
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import rollback, thin, thin_pool, thin_snapshot
from drystone.testing.groups import GroupBench, find, ids, make_group

MIB = 1 << 20


def pool_of(group: Group) -> ThinPool:
    pool = find(group, "pool")
    assert isinstance(pool, ThinPool)
    return pool


def dev_id(group: Group, name: str) -> int:
    volume = find(group, name)
    assert isinstance(volume, Thin)
    return volume.dev_id


@pytest.fixture
def group() -> Group:
    return thin_pool(make_group(), "pool", 16 * MIB, ids("pool"))


def test_a_new_pool_is_at_transaction_0_with_2_mib_of_metadata(group: Group) -> None:
    pool = pool_of(group)
    assert (pool.size, pool.transaction_id, pool.messages, pool.next_id) == (16 * MIB, 0, (), 0)
    assert find(group, "pool:meta").size == 2 * MIB


def test_every_change_is_a_transaction_that_follows_the_one_before(group: Group) -> None:
    bench, make = GroupBench(make_group()), ids()
    bench.go(group)
    group = thin(group, "pool", ["t1", "t2"], 64 * MIB, make)
    assert (pool_of(group).transaction_id, pool_of(group).messages) == (1, ("create_thin 0", "create_thin 1"))
    bench.go(group)
    group = thin_snapshot(group, "t1", "s1", make)
    assert (pool_of(group).transaction_id, pool_of(group).messages) == (2, ("create_snap 2 0",))
    bench.go(group)
    group = remove(group, ["t1", "t2"])
    assert (pool_of(group).transaction_id, pool_of(group).messages) == (3, ("delete 0", "delete 1"))
    origin = find(group, "s1")
    assert isinstance(origin, Thin)
    assert origin.origin is None
    bench.go(group)
    group = thin(group, "pool", ["t3"], MIB, make)
    assert dev_id(group, "t3") == 3, "no id is given out twice"
    bench.go(group)


def test_changes_of_an_inactive_pool_join_one_transaction(group: Group) -> None:
    group = thin(group, "pool", ["t1"], MIB, ids("a"))
    group = thin(group, "pool", ["t2"], MIB, ids("b"), join=True)
    group = snapshot(group, "t1", "s1", ids("c"), join=True)
    assert (pool_of(group).transaction_id, len(pool_of(group).messages)) == (1, 3)
    GroupBench(make_group()).go(group)
    with pytest.raises(UsageError, match="makes and deletes"):
        remove(group, ["t2"], join=True)


def test_there_must_be_a_transaction_to_join(group: Group) -> None:
    with pytest.raises(UsageError, match="no transaction"):
        thin(group, "pool", ["t1"], MIB, ids(), join=True)


def test_what_cannot_be_made(group: Group) -> None:
    group = create(group, Wish("lin", MIB), ids("lin"))
    with pytest.raises(UsageError, match="no thin pool"):
        thin(group, "lin", ["t1"], MIB, ids())
    with pytest.raises(UsageError, match="no thin volume"):
        thin_snapshot(group, "lin", "s1", ids())
    with pytest.raises(ExistsError):
        thin(group, "pool", ["lin"], MIB, ids())
    with pytest.raises(UsageError, match="twice"):
        thin(group, "pool", ["t1", "t1"], MIB, ids())
    with pytest.raises(UsageError):
        thin_pool(group, "other", MIB, ids(), block=1000)
    full = replaced(group, change=[changed(pool_of(group), next_id=1 << 24)])
    with pytest.raises(ExhaustedError):
        thin(full, "pool", ["t1"], MIB, ids())


def test_a_thin_volume_goes_back_to_its_snapshot() -> None:
    bench = GroupBench(make_group())
    bench.go(thin_pool(bench.group, "pool", 8 * MIB, ids()))
    bench.go(thin(bench.group, "pool", ["db"], 4 * MIB, ids("t"), tags=("hot",)))
    bench.go(thin_snapshot(bench.group, "db", "monday", ids("m")))
    bench.go(thin_snapshot(bench.group, "db", "tuesday", ids("n")))
    before = find(bench.group, "db")
    back = rollback(bench.group, "db", "monday")
    bench.go(back)
    after = find(back, "db")
    assert isinstance(after, Thin)
    assert (after.uuid, after.tags, after.dev_id) == (before.uuid, ("hot",), 3)
    assert pool_of(back).messages == ("create_snap 3 1", "delete 0")
    assert after.origin == find(back, "monday").uuid
    for name in ("monday", "tuesday"):
        volume = find(back, name)
        assert isinstance(volume, Thin)
        assert volume.origin is None
    assert bench.dm.table("vg-db")[0].params.endswith(" 3")
    # And on to another one.
    bench.go(rollback(back, "db", "tuesday"))
    assert pool_of(bench.group).messages == ("create_snap 4 2", "delete 3")


def test_what_a_thin_volume_cannot_go_back_to() -> None:
    group = thin_pool(make_group(), "pool", 8 * MIB, ids())
    group = thin(group, "pool", ["db"], MIB, ids("t"))
    group = thin_pool(group, "other", 8 * MIB, ids("o"))
    group = thin(group, "other", ["far"], MIB, ids("f"))
    group = create(group, Wish("lin", MIB), ids("l"))
    for name, source in (("db", "db"), ("db", "far"), ("db", "lin"), ("lin", "db"), ("db", "pool")):
        with pytest.raises(UsageError):
            rollback(group, name, source)
    with_classic = snapshot(
        thin_snapshot(group, "db", "copy", ids("c"), join=True), "db", "classic", ids("k"), size=MIB
    )
    with pytest.raises(UsageError, match="has snapshots"):
        rollback(with_classic, "db", "copy")
