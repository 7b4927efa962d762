from __future__ import annotations

import pytest

from drystone.dvm.groups.group import Group, visible
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.layers import cache
from drystone.dvm.metadata.move import begin
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.dvm.reports.live import Live, LiveDevice, LiveTarget, observe
from drystone.dvm.reports.lvm_report import lvm_report
from drystone.dvm.reports.report import REPORTS, Subject, report
from drystone.dvm.reports.rows import Report
from drystone.dvm.volactivate import paths_of
from drystone.testing.groups import START, GroupBench, ids, make_group

MIB = 1 << 20


@pytest.fixture
def group() -> Group:
    group = create(make_group(), Wish("two", 8 * MIB, 2, tags=("hot",)), ids("1"), "striped")
    group = create(group, Wish("safe", 4 * MIB), ids("2"), "raid1")
    group = snapshot(group, "two", "snap", ids("3"), size=2 * MIB)
    group = thin(thin_pool(group, "pool", 8 * MIB, ids("4")), "pool", ["t1"], 64 * MIB, ids("5"))
    return cache(create(group, Wish("fast", 4 * MIB), ids("6")), "fast", MIB, ids("7"), devices=["disk3"])


def made(group: Group, *, live: Live | None = None, parts: bool = False, lost: str = "") -> Report:
    paths = {uuid: path for uuid, path in paths_of(group).items() if uuid != lost}
    return report(Subject(group, paths, live, parts), tuple(REPORTS))


def test_all_space_is_accounted_for(group: Group) -> None:
    found = made(group)
    assert found.vgs is not None
    assert found.pvs is not None
    (whole,) = found.vgs
    assert (whole.size, whole.devices, whole.missing) == (4 * 64 * MIB, 4, 0)
    assert whole.free == sum(row.free for row in found.pvs)
    assert all(row.used + row.free == row.size == 64 * MIB for row in found.pvs)
    assert all(row.start == START for row in found.pvs)
    assert whole.volumes == len(visible(group))


def test_volumes_by_name_with_what_they_are_on(group: Group) -> None:
    rows = made(group).lvs
    assert rows is not None
    assert [row.name for row in rows] == ["fast", "pool", "safe", "snap", "t1", "two"]
    by_name = {row.name: row for row in rows}
    assert by_name["two"].devices == ("/dev/disk0", "/dev/disk1")
    assert by_name["two"].tags == ("hot",)
    assert by_name["t1"].pool == "pool"
    assert by_name["t1"].devices == by_name["pool"].devices
    assert by_name["snap"].origin == "two"
    assert all(row.live is None and not row.moving and not row.missing for row in rows)
    parts = made(group, parts=True).lvs
    assert parts is not None
    assert {row.name for row in parts if row.part_of == "safe"} == {
        f"safe:{k}{n}" for k in ("meta", "data") for n in (0, 1)
    }


def test_missing_devices_and_moves_show(group: Group) -> None:
    found = made(begin(group, "disk0", volumes=["two"]), lost="disk1")
    assert found.lvs is not None
    assert found.vgs is not None
    assert found.pvs is not None
    assert found.vgs[0].missing == 1
    assert [row.path for row in found.pvs if row.missing] == ["/dev/disk1"]
    assert [row.name for row in found.lvs if row.missing] == ["safe", "snap", "two"]
    assert {row.name for row in found.lvs if row.moving} == {"two", "snap"}


def test_segments_cover_each_volume(group: Group) -> None:
    rows = made(group).segments
    assert rows is not None
    for volume in visible(group):
        mine = [row for row in rows if row.volume == volume.name]
        ends = [0, *(row.start + row.size for row in mine)]
        assert [row.start for row in mine] == ends[:-1]
        assert ends[-1] == volume.size
    stripes = next(row for row in rows if row.volume == "two")
    assert (stripes.legs, stripes.on) == (2, ("/dev/disk0:0-3", "/dev/disk1:0-3"))


def test_what_the_kernel_says(group: Group) -> None:
    bench = GroupBench(make_group())
    bench.go(group)
    bench.dm.open("vg-safe")
    bench.dm.write("vg-t1", 0, 2048)
    bench.dm.suspend("vg-fast")
    rows = made(group, live=observe(bench.dm, group)).lvs
    assert rows is not None
    live = {row.name: row.live for row in rows if row.live is not None}
    assert all(each.active for each in live.values())
    assert live["safe"].open
    assert live["safe"].copy_percent == 100.0
    assert live["t1"].data_percent == 1.56
    assert live["pool"].data_percent == 12.5
    assert live["pool"].metadata_percent is not None
    assert live["fast"].suspended
    assert live["snap"].data_percent is not None
    nothing = made(group, live=Live()).lvs
    assert nothing is not None
    assert not any(row.live.active for row in nothing if row.live)


@pytest.mark.parametrize(
    ("name", "target", "status", "health"),
    [
        ("pool", "thin-pool", "1 1/512 2/128 - ro discard_passdown queue_if_no_space - 1024", "read-only"),
        (
            "pool",
            "thin-pool",
            "1 1/512 2/128 - out_of_data_space no_discard_passdown queue_if_no_space -",
            "out of space",
        ),
        ("pool", "thin-pool", "1 1/512 2/128 - rw discard_passdown queue_if_no_space needs_check 1024", "needs check"),
        ("pool", "thin-pool", "Fail", "failed"),
        ("t1", "thin", "Fail", "failed"),
        ("snap", "snapshot", "Invalid", "invalid"),
        ("safe", "raid", "raid1 2 AD 8192/8192 idle 0 0 -", "degraded"),
        ("safe", "raid", "raid1 2 AA 8192/8192 idle 0 0 -", ""),
    ],
)
def test_health(group: Group, name: str, target: str, status: str, health: str) -> None:
    uuid = next(volume.uuid for volume in group.volumes if volume.name == name)
    device = LiveDevice(f"vg-{name}", f"DRYSTONE-DVM-group-1-{uuid}", targets=(LiveTarget(0, 8, target, status),))
    rows = made(group, live=Live((device,))).lvs
    assert rows is not None
    assert next(row.live.health for row in rows if row.name == name and row.live) == health


def test_lvm_has_its_own_words_for_the_same(group: Group) -> None:
    bench = GroupBench(make_group())
    bench.go(group)
    found = lvm_report(made(group, live=observe(bench.dm, group), parts=True))
    (tables,) = found["report"]
    assert set(tables) == {"vg", "pv", "lv", "seg"}
    assert all(isinstance(value, str) for rows in tables.values() for row in rows for value in row.values())
    attributes = {row["lv_name"]: row["lv_attr"] for row in tables["lv"]}
    assert attributes["two"] == "owi-a-----"
    assert attributes["safe"] == "rwi-a-r---"
    assert attributes["pool"] == "twi-aot---"
    assert attributes["t1"] == "Vwi-a-t---"
    assert attributes["snap"] == "swi-a-s---"
    assert attributes["fast"] == "Cwi-a-C---"
    assert attributes["[safe:meta0]"] == "ewi-ao----"
    assert attributes["[safe:data0]"] == "iwi-ao----"
    volume = next(row for row in tables["lv"] if row["lv_name"] == "t1")
    assert (volume["vg_name"], volume["lv_size"], volume["pool_lv"]) == ("vg", f"{64 * MIB}B", "pool")
    assert next(row["segtype"] for row in tables["seg"] if row["lv_name"] == "pool") == "thin-pool"
