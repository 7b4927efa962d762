from __future__ import annotations

from collections.abc import Callable

import pytest

from drystone.base.errors import RefusedError, UsageError
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.kinds import Cache, Crypt, Era, Thin, ThinPool
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.edit import changed, replaced
from drystone.dvm.metadata.layers import cache, change_cache, crypt, era, uncache, unera
from drystone.dvm.metadata.names import tag
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.size import extend
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool, thin_snapshot
from drystone.testing.groups import GroupBench, find, ids, make_group

MIB = 1 << 20


def test_a_cache_comes_and_goes_without_a_trace() -> None:
    bench = GroupBench(make_group())
    group = tag(create(bench.group, Wish("db", 4 * MIB), ids()), "disk3", add=["ssd"])
    bench.go(group)
    fast = cache(group, "db", 2 * MIB, ids("cache"), devices=["@ssd"])
    bench.go(fast)
    top = find(fast, "db")
    assert isinstance(top, Cache)
    assert top.uuid == find(group, "db").uuid
    assert {run.device for name in ("db:fast", "db:meta") for run in find(fast, name).runs()} == {"disk3"}
    back = uncache(fast, "db")
    bench.go(back)
    assert back == group


def test_a_cache_that_may_be_dirty_stays_until_it_is_clean() -> None:
    bench = GroupBench(make_group())
    group = cache(create(bench.group, Wish("db", 4 * MIB), ids()), "db", MIB, ids("cache"), mode="writeback")
    bench.go(group)
    with pytest.raises(RefusedError):
        uncache(group, "db")
    with pytest.raises(RefusedError):
        uncache(group, "db", is_clean=True)
    cleaning = change_cache(group, "db", policy="cleaner")
    bench.go(cleaning)
    bench.go(uncache(cleaning, "db", is_clean=True))


def test_layers_stand_on_each_other_and_the_outermost_goes_first() -> None:
    bench = GroupBench(make_group())
    group = era(create(bench.group, Wish("db", 4 * MIB), ids(), "raid1"), "db", ids("era"))
    bench.go(group)
    both = cache(group, "db", MIB, ids("cache"))
    bench.go(both)
    assert isinstance(find(both, "db"), Cache)
    assert isinstance(find(both, "db:base"), Era)
    assert find(both, "db:base:base:data1")
    with pytest.raises(UsageError, match="outermost"):
        unera(both, "db")
    back = unera(uncache(both, "db"), "db")
    bench.go(back)
    assert find(back, "db:data1")


def test_encryption_names_a_key_and_never_holds_one() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    with pytest.raises(RefusedError, match="unreadable"):
        crypt(group, "db", "logon:db", ids("crypt"))
    top = find(crypt(group, "db", "logon:db", ids("crypt"), lose_data=True), "db")
    assert isinstance(top, Crypt)
    assert (top.key, top.size) == ("logon:db", 4 * MIB)
    for key in ("0123abcd", "logon:a b", "logon:"):
        with pytest.raises(UsageError, match="a key is logon"):
            crypt(group, "db", key, ids("crypt"), lose_data=True)


def test_a_thin_volume_is_laid_below_and_its_snapshots_know_it() -> None:
    bench = GroupBench(make_group())
    bench.go(thin_pool(bench.group, "pool", 8 * MIB, ids("pool")))
    bench.go(thin(bench.group, "pool", ["db"], 4 * MIB, ids("t")))
    bench.go(thin_snapshot(bench.group, "db", "monday", ids("m")))
    plain = bench.group
    layers: list[tuple[Group, Callable[[Group, str], Group]]] = [
        (era(plain, "db", ids("e")), unera),
        (cache(plain, "db", MIB, ids("c")), uncache),
    ]
    for cover, uncover in layers:
        bench.go(cover)
        base, copy = find(cover, "db:base"), find(cover, "monday")
        assert isinstance(base, Thin)
        assert isinstance(copy, Thin)
        assert copy.origin == base.uuid
        assert bench.dm.table("vg-db:base")[0].params.endswith(" 0")
        # It grows with what is over it.
        bench.go(extend(bench.group, "db", by=MIB))
        assert find(bench.group, "db:base").size == 5 * MIB
        bench.go(uncover(bench.group, "db"))
        bench.go(plain)
    secret = crypt(plain, "db", "logon:db", ids("k"), lose_data=True)
    gone = remove(secret, ["db"])
    bench.go(gone)
    assert {volume.name for volume in gone.volumes} == {"pool", "pool:meta", "pool:data", "monday"}
    pool = find(gone, "pool")
    assert isinstance(pool, ThinPool)
    assert pool.messages == ("delete 0",)


def test_a_thin_volume_is_no_other_part() -> None:
    group = thin(thin_pool(make_group(), "pool", 8 * MIB, ids("pool")), "pool", ["db"], MIB, ids())
    pool, data, base = find(group, "pool"), find(group, "pool:data"), find(group, "db")
    assert isinstance(pool, ThinPool)
    wrong = changed(base, name="pool:thin", part_of=pool.uuid)
    with pytest.raises(UsageError, match="cannot be a part"):
        replaced(group, change=[changed(pool, data=wrong.uuid), wrong], drop=[data.uuid])


def test_what_cannot_be_covered() -> None:
    group = snapshot(create(make_group(), Wish("lin", MIB), ids("l")), "lin", "copy", ids("c"), size=MIB)
    group = thin_pool(group, "pool", MIB, ids("pool"))
    for name in ("pool", "copy"):
        with pytest.raises(UsageError, match="below another"):
            cache(group, name, MIB, ids())
    group = create(group, Wish("db", MIB), ids("db"))
    with pytest.raises(UsageError):
        cache(group, "db", MIB, ids("c"), block=1000)
    with pytest.raises(UsageError):
        cache(group, "db", MIB, ids("c"), mode="none")
    with pytest.raises(UsageError):
        era(group, "db", ids("e"), block=1000)
    with pytest.raises(UsageError):
        uncache(group, "db")
