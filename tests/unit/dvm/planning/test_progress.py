from __future__ import annotations

import pytest

from drystone.dvm.groups.group import Group, uuid_prefix
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.snapshot import begin_merge, snapshot
from drystone.dvm.planning.progress import busy_sets, merged_snapshots, rebuilt_sets
from drystone.dvm.reports.live import Live, LiveDevice, LiveTarget
from drystone.testing.groups import find, ids, make_group

MIB = 1 << 20


def live(group: Group, name: str, target: str, status: str, suffix: str = "") -> Live:
    uuid = f"{uuid_prefix(group)}{find(group, name).uuid}{suffix}"
    return Live((LiveDevice(f"vg-{name}", uuid, targets=(LiveTarget(0, 8192, target, status),)),))


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ("raid1 2 AA 8192/8192 idle 0 0 -", True),
        ("raid1 2 AA 8192/8192 recover 0 0 -", False),
        ("raid1 2 Aa 8192/8192 idle 0 0 -", False),
        ("raid1 2 AA 4096/8192 idle 0 0 -", False),
        ("raid1 2 AD 8192/8192 idle 0 0 -", False),
    ],
)
@pytest.mark.parametrize("suffix", ["", "-real"])
def test_when_a_raid_set_is_rebuilt(status: str, done: bool, suffix: str) -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids(), "raid1")
    assert rebuilt_sets(group, live(group, "db", "raid", status, suffix)) == ({"db"} if done else set())
    assert rebuilt_sets(group, Live()) == set()
    assert busy_sets(group, live(group, "db", "raid", status, suffix)) == ({"db"} if "recover" in status else set())


@pytest.mark.parametrize(("status", "done"), [("16/2048 16", True), ("24/2048 16", False), ("Merge failed", False)])
def test_when_a_snapshot_is_merged(status: str, done: bool) -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    group = snapshot(group, "db", "monday", ids("x"), size=MIB)
    told = live(group, "db", "snapshot-merge", status)
    assert merged_snapshots(group, told) == set(), "it is not being merged"
    group = begin_merge(group, "monday")
    assert merged_snapshots(group, told) == ({"monday"} if done else set())
    assert merged_snapshots(group, Live()) == set()
