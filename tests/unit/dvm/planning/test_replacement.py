from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError, MismatchError, RefusedError
from drystone.dvm.groups.group import Group, Index, uuid_prefix
from drystone.dvm.metadata import move
from drystone.dvm.metadata.create import Wish as NewVolume
from drystone.dvm.metadata.create import create
from drystone.dvm.metadata.devices import change_device, users_of
from drystone.dvm.planning.replacement import Wish, carry_out, next_step
from drystone.dvm.reports.live import Live, LiveDevice, LiveTarget, observe
from drystone.testing.groups import GroupBench, find, ids, make_group

MIB = 1 << 20


def run_through(bench: GroupBench, wish: Wish) -> list[str]:
    """All steps until the device has left; names of the acts."""
    acts: list[str] = []
    new = ids("replace")
    while any(each.uuid == wish.device for each in bench.group.devices):
        step = next_step(bench.group, wish, observe(bench.dm, bench.group))
        acts.append(step.act)
        bench.go(carry_out(bench.group, step, wish, new))
        assert len(acts) < 10
    return acts


def make_bench() -> GroupBench:
    bench = GroupBench(make_group(5))
    group = create(bench.group, NewVolume("lin", 4 * MIB, devices=("disk0",)), ids("a"))
    group = create(group, NewVolume("two", 4 * MIB, 2, devices=("disk0", "disk1")), ids("b"), "striped")
    group = create(group, NewVolume("safe", 4 * MIB, devices=("disk0", "disk1")), ids("c"), "raid1")
    bench.go(group)
    return bench


def test_everything_on_a_device_moves_away_and_the_device_leaves() -> None:
    bench = make_bench()
    assert run_through(bench, Wish("disk0", targets=("disk4",))) == ["move", "finish-move", "drop"]
    assert {each.uuid for each in bench.group.devices} == {"disk1", "disk2", "disk3", "disk4"}
    assert next(find(bench.group, "lin").runs()).device == "disk4"


def test_a_device_that_holds_nothing_leaves_at_once() -> None:
    assert run_through(make_bench(), Wish("disk3")) == ["drop"]


def test_the_device_gets_nothing_new_meanwhile() -> None:
    bench = make_bench()
    wish = Wish("disk0")
    group = carry_out(bench.group, next_step(bench.group, wish, Live()), wish, ids())
    assert not Index(group).devices["disk0"].allocatable


def test_it_goes_on_from_a_move_that_was_begun_by_somebody_else() -> None:
    bench = make_bench()
    bench.go(move.begin(bench.group, "disk0", volumes=["lin"]))
    assert run_through(bench, Wish("disk0")) == ["move", "finish-move", "drop"]


def test_copying_is_waited_for() -> None:
    bench = make_bench()
    wish = Wish("disk0")
    bench.go(carry_out(bench.group, next_step(bench.group, wish, Live()), wish, ids()))
    step = next_step(bench.group, wish, Live())
    assert (step.act, step.done) == ("wait", 0)
    assert carry_out(bench.group, step, wish, ids()) == bench.group


def test_a_lost_leg_gets_a_new_place_and_is_rebuilt() -> None:
    bench = GroupBench(make_group(4))
    bench.go(create(bench.group, NewVolume("safe", 4 * MIB, devices=("disk0", "disk1")), ids(), "raid1"))
    bench.go(create(bench.group, NewVolume("five", 4 * MIB, devices=("disk0", "disk1", "disk2")), ids("x"), "raid5"))
    wish = Wish("disk0", is_lost=True)
    assert run_through(bench, wish) == ["repair", "settle", "drop"]
    assert "disk0" not in {run.device for volume in bench.group.volumes for run in volume.runs()}


def test_a_set_that_is_being_synchronised_is_left_alone_until_it_is_idle() -> None:
    bench = GroupBench(make_group(4))
    bench.go(create(bench.group, NewVolume("safe", 4 * MIB, devices=("disk0", "disk1")), ids(), "raid1"))
    uuid = f"{uuid_prefix(bench.group)}{find(bench.group, 'safe').uuid}"
    for action, expected in (("resync", "wait"), ("idle", "repair")):
        status = LiveTarget(0, 8192, "raid", f"raid1 2 Aa 2048/8192 {action} 0 0 -")
        live = Live((LiveDevice("vg-safe", uuid, targets=(status,)),))
        step = next_step(bench.group, Wish("disk1", is_lost=True), live)
        assert (step.act, step.volumes) == (expected, ("safe",))


def test_what_is_on_a_lost_device_alone_is_named() -> None:
    bench = make_bench()
    with pytest.raises(RefusedError, match="lin, two were on /dev/disk0 alone, or in part"):
        next_step(bench.group, Wish("disk0", is_lost=True), Live())


def test_a_move_to_the_device_is_in_the_way() -> None:
    bench = make_bench()
    bench.go(move.begin(bench.group, "disk0", volumes=["lin"], devices=["disk4"]))
    with pytest.raises(MismatchError, match="lin: extents are being moved to /dev/disk4"):
        next_step(bench.group, Wish("disk4"), Live())


def test_no_room_changes_nothing() -> None:
    bench = make_bench()
    group: Group = bench.group
    for name in ("disk1", "disk2", "disk3", "disk4"):
        group = change_device(group, name, allocatable=False)
    wish = Wish("disk0")
    with pytest.raises(ExhaustedError):
        carry_out(group, next_step(group, wish, Live()), wish, ids())
    assert users_of(Index(group), "disk0")
