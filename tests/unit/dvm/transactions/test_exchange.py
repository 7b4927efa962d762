from __future__ import annotations

import pytest

from drystone.base.errors import BusyError, RefusedError
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.snapshot import begin_merge, snapshot
from drystone.dvm.metadata.thin import rollback, thin, thin_pool, thin_snapshot
from drystone.dvm.state import observe
from drystone.dvm.transactions.exchange import find_exchanged, require_unused
from drystone.dvm.volactivate import activate
from drystone.testing.groups import GroupBench, ids, make_group, numbers

MIB = 1 << 20


@pytest.fixture
def bench() -> GroupBench:
    """db with a classic snapshot, home with a thin one."""
    bench = GroupBench(make_group())
    bench.go(thin_pool(bench.group, "pool", 8 * MIB, ids("p")))
    bench.go(thin(bench.group, "pool", ["home"], MIB, ids("t")))
    bench.go(thin_snapshot(bench.group, "home", "home-monday", ids("h")))
    bench.go(create(bench.group, Wish("db", 4 * MIB), ids("d")))
    bench.go(snapshot(bench.group, "db", "monday", ids("m"), size=MIB))
    return bench


def test_what_goes_back_gets_other_contents(bench: GroupBench) -> None:
    current = observe(bench.dm)
    for group, names in (
        (bench.group, ()),
        (rollback(bench.group, "home", "home-monday"), ("vg-home",)),
        (begin_merge(bench.group, "monday"), ("vg-db", "vg-monday")),
    ):
        assert find_exchanged(current, activate(group, numbers(group)).state) == names


@pytest.mark.parametrize("name", ["vg-db", "vg-monday"])
def test_it_must_be_closed_for_that(bench: GroupBench, name: str) -> None:
    group = begin_merge(bench.group, "monday")
    desired = activate(group, numbers(group)).state
    require_unused(observe(bench.dm), desired, bench.dm)
    bench.dm.open(name)
    with pytest.raises(BusyError, match=f"{name} is in use"):
        require_unused(observe(bench.dm), desired, bench.dm)


def test_a_snapshot_that_has_lost_its_content_is_not_merged(bench: GroupBench) -> None:
    group = begin_merge(bench.group, "monday")
    desired = activate(group, numbers(group)).state
    bench.dm.write("vg-db", 0, 2 * MIB // 512)
    with pytest.raises(RefusedError, match="vg-monday cannot be merged: it is Invalid"):
        require_unused(observe(bench.dm), desired, bench.dm)


def test_a_merge_that_goes_on_is_none_that_begins(bench: GroupBench) -> None:
    bench.go(begin_merge(bench.group, "monday"))
    bench.dm.open("vg-db")
    require_unused(observe(bench.dm), activate(bench.group, numbers(bench.group)).state, bench.dm)
