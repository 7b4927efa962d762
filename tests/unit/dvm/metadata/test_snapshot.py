from __future__ import annotations

from collections.abc import Callable

import pytest

from drystone.base.errors import RefusedError, UsageError
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.kinds import Snapshot
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.layers import cache, era
from drystone.dvm.metadata.raid import mirror
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.size import extend
from drystone.dvm.metadata.snapshot import begin_merge, finish_merge, snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.testing.groups import GroupBench, find, ids, make_group

MIB = 1 << 20


def test_a_classic_snapshot_has_its_origins_size_and_a_store_of_its_own() -> None:
    bench = GroupBench(make_group())
    group = create(bench.group, Wish("db", 4 * MIB), ids())
    bench.go(group)
    group = snapshot(group, "db", "snap", ids("snap"), size=MIB)
    bench.go(group)
    copy = find(group, "snap")
    assert isinstance(copy, Snapshot)
    assert (copy.size, find(group, "snap:cow").size) == (4 * MIB, MIB)
    assert [line.target for line in bench.dm.table("vg-db")] == ["snapshot-origin"]
    assert [line.target for line in bench.dm.table("vg-snap")] == ["snapshot"]


def test_a_volume_with_snapshots_can_be_laid_below_others() -> None:
    bench = GroupBench(make_group())
    group = snapshot(create(bench.group, Wish("db", 4 * MIB), ids()), "db", "snap", ids("s"), size=MIB)
    for above in (mirror(group, "db", ids("m")), era(group, "db", ids("e")), cache(group, "db", MIB, ids("c"))):
        GroupBench(make_group()).go(above)


def test_all_classic_snapshots_of_a_volume_have_one_chunk_size() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    group = snapshot(group, "db", "one", ids("1"), size=MIB, chunk=8192)
    two = find(snapshot(group, "db", "two", ids("2"), size=MIB), "two")
    assert isinstance(two, Snapshot)
    assert two.chunk == 8192
    with pytest.raises(UsageError, match="differ in their chunks"):
        snapshot(group, "db", "two", ids("2"), size=MIB, chunk=4096)


def test_what_has_no_such_snapshots() -> None:
    group = thin_pool(create(make_group(), Wish("db", MIB), ids()), "pool", MIB, ids("pool"))
    group = snapshot(group, "db", "snap", ids("snap"), size=MIB)
    group = thin(group, "pool", ["t1"], MIB, ids("thin"))
    with pytest.raises(UsageError, match="needs room"):
        snapshot(group, "db", "more", ids())
    for origin in ("pool", "snap"):
        with pytest.raises(UsageError, match="has no snapshots"):
            snapshot(group, origin, "more", ids(), size=MIB)
    assert snapshot(group, "t1", "classic", ids("x"), size=MIB) != snapshot(group, "t1", "thin", ids("x"))


def test_a_volume_goes_back_to_its_snapshot_and_the_store_is_free_again() -> None:
    bench = GroupBench(make_group())
    plain = create(bench.group, Wish("db", 4 * MIB), ids())
    bench.go(plain)
    bench.go(snapshot(plain, "db", "monday", ids("m"), size=MIB))
    bench.go(begin_merge(bench.group, "monday"))
    assert bench.dm.table("vg-db")[0].target == "snapshot-merge"
    assert "vg-monday" not in {each.name for each in bench.dm.list_devices()}
    done = finish_merge(bench.group, {"monday"})
    bench.go(done)
    assert done == plain
    assert [each.name for each in bench.dm.list_devices()] == ["vg-db"]


def test_other_snapshots_stay_while_one_is_merged() -> None:
    bench = GroupBench(make_group())
    group = create(bench.group, Wish("db", 4 * MIB), ids())
    for name in ("one", "two"):
        group = snapshot(group, "db", name, ids(name), size=MIB)
    bench.go(group)
    bench.go(begin_merge(group, "one"))
    assert {each.name for each in bench.dm.list_devices()} >= {"vg-two", "vg-db", "vg-db-real"}
    with pytest.raises(UsageError, match="one is being merged into db"):
        begin_merge(bench.group, "two")
    bench.go(finish_merge(bench.group, None, ["one"]))
    assert bench.dm.table("vg-db")[0].target == "snapshot-origin"


def test_what_cannot_be_done_while_a_snapshot_is_merged() -> None:
    group = snapshot(create(make_group(), Wish("db", 4 * MIB), ids()), "db", "monday", ids("m"), size=MIB)
    merging = begin_merge(group, "monday")
    changes: list[Callable[[], Group]] = [
        lambda: begin_merge(merging, "monday"),
        lambda: snapshot(merging, "db", "tuesday", ids("t"), size=MIB),
        lambda: remove(merging, ["monday"]),
        lambda: extend(merging, "db", by=MIB),
    ]
    for change in changes:
        with pytest.raises(UsageError):
            change()
    assert remove(merging, ["db", "monday"]).volumes == ()


def test_a_merge_ends_when_it_is_done() -> None:
    group = snapshot(create(make_group(), Wish("db", 4 * MIB), ids()), "db", "monday", ids("m"), size=MIB)
    for names in ([], ["monday"]):
        with pytest.raises(UsageError, match="nothing is being merged"):
            finish_merge(group, None, names)
    merging = begin_merge(group, "monday")
    with pytest.raises(RefusedError, match="monday: not everything"):
        finish_merge(merging, set())
    with pytest.raises(UsageError):
        finish_merge(merging, None, ["monday", "db"])
    with pytest.raises(UsageError, match="no classic snapshot"):
        begin_merge(group, "db")
