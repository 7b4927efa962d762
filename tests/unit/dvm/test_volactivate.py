from __future__ import annotations

import pytest

from drystone.base.errors import NotFoundError, RefusedError, UsageError
from drystone.dvm.check import check
from drystone.dvm.discovery.devices import Devices, GroupDevice, GroupReference
from drystone.dvm.dmactivate import activate as compile_program
from drystone.dvm.groups.group import Group
from drystone.dvm.instructions import Resume
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.layers import cache, crypt
from drystone.dvm.metadata.move import begin
from drystone.dvm.metadata.raid import mirror
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.dvm.state import State, Transaction, check_state
from drystone.dvm.volactivate import (
    BLANK,
    Blank,
    LeftOut,
    activate,
    blanking,
    blanks,
    paths_of,
    pools_with_messages,
)
from drystone.testing.groups import START, GroupBench, ids, make_group, numbers
from drystone.testing.program_bench import converge

MIB = 1 << 20
FIRST = START // 512
"""The sector at which extent 0 of a disk begins."""


def tables(state: State) -> dict[str, list[str]]:
    check_state(state)
    return {
        device.name: [f"{line.start} {line.length} {line.target} {line.params}" for line in device.table]
        for device in state.devices
    }


def state_of(group: Group) -> dict[str, list[str]]:
    return tables(activate(group, paths_of(group)).state)


def test_linear_and_striped() -> None:
    group = create(make_group(2, 4), Wish("db", 6 * MIB), ids())
    group = create(group, Wish("a-b", 2 * MIB, devices=("disk1",)), ids("x"))
    assert state_of(group) == {
        "vg-db": [f"0 8192 linear /dev/disk0 {FIRST}", f"8192 4096 linear /dev/disk1 {FIRST}"],
        "vg-a--b": [f"0 4096 linear /dev/disk1 {FIRST + 4096}"],
    }
    group = create(make_group(2, 4), Wish("db", 6 * MIB, 2, 65536), ids(), "striped")
    assert state_of(group) == {"vg-db": [f"0 12288 striped 2 128 /dev/disk0 {FIRST} /dev/disk1 {FIRST}"]}


def test_a_device_has_the_uuids_of_its_group_and_volume() -> None:
    group = create(make_group(), Wish("db", MIB), ids())
    device = activate(group, paths_of(group)).state.devices[0]
    assert device.uuid == f"DRYSTONE-DVM-group-1-{group.volumes[0].uuid}"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("raid1", "0 8192 raid raid1 3 0 region_size 4096 2"),
        ("raid5", "0 8192 raid raid5_ls 3 128 region_size 4096 3"),
        ("raid6", "0 8192 raid raid6_zr 3 128 region_size 4096 4"),
        ("raid10", "0 8192 raid raid10 3 128 region_size 4096 4"),
    ],
)
def test_raid(kind: str, line: str) -> None:
    found = state_of(create(make_group(), Wish("db", 4 * MIB), ids(), kind))
    legs = int(line.rsplit(maxsplit=1)[-1])
    pairs = " ".join(f"{{vg-db:meta{at}}} {{vg-db:data{at}}}" for at in range(legs))
    assert found["vg-db"] == [f"{line} {pairs}"]
    assert len(found) == 1 + 2 * legs


def test_legs_that_were_taken_as_equal_are_not_synchronized() -> None:
    group = create(make_group(), Wish("db", 4 * MIB, nosync=True), ids(), "raid1")
    assert " raid raid1 4 0 nosync region_size 4096 2 " in state_of(group)["vg-db"][0]


def test_thin() -> None:
    group = thin(thin_pool(make_group(), "pool", 4 * MIB, ids()), "pool", ["t1"], 64 * MIB, ids("t"))
    activation = activate(group, paths_of(group))
    found = tables(activation.state)
    assert found["vg-pool"] == ["0 8192 thin-pool {vg-pool:meta} {vg-pool:data} 128 0 0"]
    assert found["vg-t1"] == ["0 131072 thin {vg-pool} 0"]
    pool = activation.state.find("vg-pool")
    assert pool is not None
    assert pool.transaction == Transaction(1, ("create_thin 0",))


def test_snapshots_of_one_origin() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    for name in ("s1", "s2"):
        group = snapshot(group, "db", name, ids(name), size=MIB)
    found = state_of(group)
    assert found["vg-db-real"] == [f"0 8192 linear /dev/disk0 {FIRST}"]
    assert found["vg-db"] == ["0 8192 snapshot-origin {vg-db-real}"]
    assert found["vg-s2"] == ["0 8192 snapshot {vg-db-real} {vg-s2:cow} P 8"]


def test_an_origin_is_resumed_after_its_snapshots_so_that_it_splits_writes_at_their_chunks() -> None:
    before = create(make_group(), Wish("db", 4 * MIB), ids())
    after = snapshot(before, "db", "snap", ids("s"), size=MIB)
    for current in (State(), activate(before, numbers(before)).state):
        program = compile_program(current, activate(after, numbers(after)).state)
        resumed = [each.device for each in program.instructions if isinstance(each, Resume) and not each.insist]
        assert resumed.index("vg-snap") < resumed.index("vg-db")


def test_cache_and_encryption() -> None:
    group = cache(create(make_group(), Wish("db", 4 * MIB), ids()), "db", MIB, ids("c"))
    words = "{vg-db:meta} {vg-db:fast} {vg-db:base} 128 2 metadata2 writethrough smq 0"
    assert state_of(group)["vg-db"] == [f"0 8192 cache {words}"]
    group = crypt(create(make_group(), Wish("db", 4 * MIB), ids()), "db", "logon:db", ids("c"), lose_data=True)
    assert state_of(group)["vg-db"] == ["0 8192 crypt aes-xts-plain64 :64:logon:db 0 {vg-db:base} 0"]


def test_moving_runs_are_mirrors_and_stripes_get_a_device_for_each() -> None:
    group = begin(create(make_group(), Wish("db", 4 * MIB), ids()), "disk0")
    mirrors = f"mirror core 1 2048 2 /dev/disk0 {FIRST} /dev/disk1 {FIRST} 1 handle_errors"
    assert state_of(group)["vg-db"] == [f"0 8192 {mirrors}"]
    group = begin(create(make_group(), Wish("db", 8 * MIB, 2, 65536), ids(), "striped"), "disk0")
    found = state_of(group)
    assert found["vg-db-move.0.0"] == [f"0 8192 {mirrors.replace('disk1', 'disk2')}"]
    assert found["vg-db"] == [f"0 16384 striped 2 128 {{vg-db-move.0.0}} 0 /dev/disk1 {FIRST}"]


def without(group: Group, *lost: str) -> dict[str, str]:
    return {uuid: path for uuid, path in paths_of(group).items() if uuid not in lost}


def test_what_needs_a_missing_device_is_left_out_and_the_rest_goes_on() -> None:
    group = create(make_group(), Wish("here", MIB), ids("1"))
    group = create(group, Wish("gone", MIB, devices=("disk1",)), ids("2"))
    group = create(group, Wish("both", 4 * MIB, 2), ids("3"), "striped")
    group = thin(thin_pool(group, "pool", MIB, ids("4"), devices=["disk1"]), "pool", ["t1"], MIB, ids("5"))
    activation = activate(group, without(group, "disk1"))
    assert list(tables(activation.state)) == ["vg-here"]
    assert activation.left_out == tuple(LeftOut(name, ("disk1",)) for name in ("gone", "both", "pool", "t1"))


def test_a_raid_set_goes_on_without_legs_that_it_can_do_without() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids(), "raid6")
    activation = activate(group, without(group, "disk1", "disk2"))
    found = tables(activation.state)
    assert found["vg-db"][0].endswith("4 {vg-db:meta0} {vg-db:data0} - - - - {vg-db:meta3} {vg-db:data3}")
    assert "vg-db:meta1" not in found
    assert activation.degraded == (LeftOut("db", ("disk1", "disk2")),)
    assert activation.left_out == ()
    activation = activate(group, without(group, "disk0", "disk1", "disk2"))
    assert activation.state.devices == State().devices or "vg-db" not in tables(activation.state)
    assert activation.left_out == (LeftOut("db", ("disk0", "disk1", "disk2")),)


def test_an_origin_waits_for_its_snapshots_store() -> None:
    group = create(make_group(), Wish("db", MIB), ids())
    group = snapshot(group, "db", "snap", ids("s"), size=MIB, devices=["disk3"])
    assert activate(group, without(group, "disk3")).left_out == (
        LeftOut("db", ("disk3",)),
        LeftOut("snap", ("disk3",)),
    )
    assert activate(remove(group, ["snap"]), without(group, "disk3")).left_out == ()


def test_only_some_volumes_with_all_that_they_need() -> None:
    group = thin(thin_pool(make_group(), "pool", MIB, ids()), "pool", ["t1", "t2"], MIB, ids("t"))
    group = snapshot(create(group, Wish("db", MIB), ids("db")), "db", "snap", ids("s"), size=MIB)
    assert set(tables(activate(group, paths_of(group), only=["t2"]).state)) == {
        *("vg-t2", "vg-pool", "vg-pool:meta", "vg-pool:data"),
    }
    assert "vg-snap" in tables(activate(group, paths_of(group), only=["db"]).state)
    with pytest.raises(NotFoundError):
        activate(group, paths_of(group), only=["nothing"])


def test_pools_with_messages_can_be_woken_one_after_the_other() -> None:
    make, group = ids(), make_group()
    for name in ("p1", "p2", "p3"):
        group = thin_pool(group, name, MIB, make)
    group = thin(thin(group, "p1", ["t1"], MIB, make), "p3", ["t3"], MIB, make)
    group = snapshot(group, "t3", "classic", make, size=MIB)
    assert len(pools_with_messages(group)) == 2
    bench = GroupBench(make_group())
    for pools, new in ((0, {"vg-p2"}), (1, {"vg-p1", "vg-t1"}), (2, {"vg-p3", "vg-t3", "vg-classic"})):
        state = activate(group, numbers(group), pools=pools).state
        shown = {device.name for device in state.devices if ":" not in device.name}
        assert new <= shown
        converge(bench.dm, state)
    assert state == activate(group, numbers(group)).state


def test_paths_are_the_discoverys_or_the_groups_hints() -> None:
    group = make_group(2)
    found = (GroupDevice("disk0", "/dev/sdx", 1 << 30), GroupDevice("disk1", "", 0, missing=True))
    devices = Devices(group=GroupReference("vg", "group-1"), devices=found)
    assert paths_of(group, devices) == {"disk0": "/dev/sdx"}
    assert paths_of(group) == {"disk0": "/dev/disk0", "disk1": "/dev/disk1"}
    with pytest.raises(UsageError, match="cannot stand in a table"):
        activate(create(group, Wish("db", MIB), ids()), {"disk0": "/dev/my disk", "disk1": "/dev/b"})


def starts(found: list[Blank]) -> list[tuple[str, int]]:
    assert all(blank.length == BLANK for blank in found)
    return sorted((blank.path, (blank.offset - START) // MIB) for blank in found)


def test_new_records_and_new_data_begin_with_zeros_and_old_data_is_left_alone() -> None:
    before = create(make_group(), Wish("db", 4 * MIB), ids())
    paths = paths_of(before)
    assert starts(blanks(make_group(), before, paths)) == [("/dev/disk0", 0)]
    assert starts(blanks(None, before, paths)) == [("/dev/disk0", 0)]
    assert blanks(before, before, paths) == []
    twin = mirror(before, "db", ids("twin"))
    assert starts(blanks(before, twin, paths)) == [("/dev/disk0", 4), ("/dev/disk1", 0)], "the records, not the data"
    stripes = create(make_group(), Wish("db", 4 * MIB, 2), ids(), "striped")
    assert starts(blanks(None, stripes, paths)) == [("/dev/disk0", 0), ("/dev/disk1", 0)]
    assert blanks(before, begin(before, "disk0"), paths) == []


def test_what_is_still_there_is_never_zeroed() -> None:
    before = create(make_group(), Wish("db", 4 * MIB), ids())
    after = create(remove(before, ["db"]), Wish("new", MIB), ids("new"))
    with pytest.raises(RefusedError, match="still is"):
        blanks(before, after, paths_of(before))


def test_zeros_are_written_by_a_program_that_passes_the_check() -> None:
    program = blanking([Blank("/dev/a", 4096, 8192), Blank("/dev/a", 65536, 8192), Blank("/dev/b", 0, 8192)])
    check(program, {"/dev/a": MIB, "/dev/b": MIB})
    assert [each.op for each in program.instructions] == ["write", "write", "write", "flush", "flush"]
