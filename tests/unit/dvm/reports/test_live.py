from __future__ import annotations

import pytest

from drystone.base.documents import encode
from drystone.base.errors import UsageError
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.move import begin
from drystone.dvm.reports.live import Live, LiveDevice, LiveTarget, copied, moved_volumes, observe, parse_live
from drystone.kernel.dm.abc import TableLine
from drystone.testing.groups import GroupBench, ids, make_group

MIB = 1 << 20


def test_only_the_groups_own_devices_are_looked_at() -> None:
    bench = GroupBench(make_group())
    bench.go(create(bench.group, Wish("db", MIB), ids()))
    bench.dm.create("vg-alien", "LVM-1")
    bench.dm.load("vg-alien", [TableLine(0, 8, "zero")])
    found = observe(bench.dm, bench.group)
    assert [device.name for device in found.devices] == ["vg-db"]
    assert found.devices[0].targets == (LiveTarget(0, 2048, "linear"),)
    assert parse_live(encode(found)) == found


def test_a_suspended_device_is_not_asked() -> None:
    bench = GroupBench(make_group())
    bench.go(create(bench.group, Wish("db", MIB), ids()))
    bench.dm.suspend("vg-db")
    assert observe(bench.dm, bench.group).devices == (
        LiveDevice("vg-db", f"DRYSTONE-DVM-group-1-{bench.group.volumes[0].uuid}", suspended=True),
    )


@pytest.mark.parametrize(
    ("target", "status", "expected"),
    [
        ("mirror", "2 7:0 7:1 3/8 1 AA 1 core", (3, 8)),
        ("raid", "raid1 2 AA 5/16 resync 0 0 -", (5, 16)),
        ("linear", "", None),
    ],
)
def test_how_much_is_copied(target: str, status: str, expected: tuple[int, int] | None) -> None:
    assert copied(LiveTarget(0, 8, target, status)) == expected


def test_a_volume_is_moved_when_all_its_mirrors_are_in_sync() -> None:
    group = create(make_group(2, 4), Wish("db", 6 * MIB, devices=("disk0", "disk1")), ids())
    group = create(make_group(3, 4), Wish("db", 4 * MIB, 2), ids(), "striped")
    moving = begin(group, "disk0")
    uuid = f"DRYSTONE-DVM-group-1-{group.volumes[0].uuid}"

    def live(done: int, name: str) -> Live:
        mirror = LiveTarget(0, 4096, "mirror", f"2 7:0 7:2 {done}/4 1 AA 1 core")
        return Live((LiveDevice("vg-db", uuid), LiveDevice(name, f"{uuid}-move.0.0", targets=(mirror,))))

    assert moved_volumes(moving, live(4, "vg-db-move.0.0")) == {"db"}
    assert moved_volumes(moving, live(3, "vg-db-move.0.0")) == set()
    assert moved_volumes(moving, Live()) == set()
    assert moved_volumes(group, live(4, "vg-db-move.0.0")) == set()


@pytest.mark.parametrize("text", ["{}x", '{"schema": "drystone.dvm.group"}', '{"version": 2}', '{"devices": 1}'])
def test_other_documents_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_live(text)
