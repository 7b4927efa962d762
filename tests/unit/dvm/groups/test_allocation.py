from __future__ import annotations

import msgspec
import pytest

from drystone.base.errors import ExhaustedError, UsageError
from drystone.dvm.groups.allocation import POLICIES, Leg, allocate, free_extents, free_room, taken
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import Linear, Run
from drystone.dvm.metadata.edit import replaced
from drystone.testing.groups import make_group


def group_with(*runs: Run, disks: int = 3, extents: int = 10) -> Group:
    """One linear volume on these runs."""
    group = make_group(disks, extents)
    size = sum(run.count for run in runs) * group.extent_size
    return replaced(group, add=[Linear(uuid="v1", name="used", size=size, segments=runs)]) if runs else group


def test_holes_are_what_no_volume_has_and_no_move_has_reserved() -> None:
    group = group_with(Run("disk0", 2, 3), Run("disk1", 0, 10))
    room = free_room(group)
    assert room == {"disk0": [(0, 2), (5, 10)], "disk1": [], "disk2": [(0, 10)]}
    assert free_extents(room["disk0"]) == 7


def test_contiguous_takes_the_smallest_hole_that_fits() -> None:
    group = group_with(Run("disk0", 4, 1))
    assert allocate(group, [Leg(4)], "contiguous") == [(Run("disk0", 0, 4),)]
    assert allocate(group, [Leg(5)], "contiguous") == [(Run("disk0", 5, 5),)]
    with pytest.raises(ExhaustedError):
        allocate(group, [Leg(11)], "contiguous")


def test_contiguous_growth_goes_on_behind_the_last_extent_only() -> None:
    group = group_with(Run("disk0", 0, 3), Run("disk1", 4, 2))
    runs = Index(group).find("used").runs()
    after = tuple(runs)
    assert allocate(group, [Leg(4, after)], "contiguous") == [(Run("disk1", 6, 4),)]
    with pytest.raises(ExhaustedError):
        allocate(group, [Leg(5, after)], "contiguous")


def test_cling_stays_on_the_devices_in_use() -> None:
    group = group_with(Run("disk1", 0, 3))
    after = (Run("disk1", 0, 3),)
    assert allocate(group, [Leg(7, after)], "cling") == [(Run("disk1", 3, 7),)]
    with pytest.raises(ExhaustedError):
        allocate(group, [Leg(8, after)], "cling")


def test_cling_puts_a_new_volume_on_one_device_even_in_pieces() -> None:
    group = group_with(Run("disk0", 4, 1), Run("disk1", 0, 8), Run("disk2", 0, 8))
    assert allocate(group, [Leg(8)], "cling") == [(Run("disk0", 0, 4), Run("disk0", 5, 4))]
    with pytest.raises(ExhaustedError):
        allocate(group, [Leg(10)], "cling")


def test_spread_takes_the_same_from_every_device_as_far_as_there_is_room() -> None:
    group = group_with(Run("disk0", 0, 8))
    (runs,) = allocate(group, [Leg(14)], "spread")
    assert runs == (Run("disk0", 8, 2), Run("disk1", 0, 6), Run("disk2", 0, 6))


def test_anywhere_takes_one_run_if_it_can_and_all_room_if_it_must() -> None:
    group = group_with(Run("disk0", 4, 1))
    assert allocate(group, [Leg(10)]) == [(Run("disk1", 0, 10),)]
    (runs,) = allocate(group, [Leg(29)])
    assert sum(run.count for run in runs) == 29
    with pytest.raises(ExhaustedError) as caught:
        allocate(group, [Leg(30)])
    assert "29 extents are free" in caught.value.hint


@pytest.mark.parametrize("policy", POLICIES)
def test_legs_are_on_different_devices_whatever_the_policy(policy: str) -> None:
    found = allocate(group_with(Run("disk1", 0, 1)), [Leg(3)] * 3, policy)
    used = [{run.device for run in runs} for runs in found]
    assert len(set.union(*used)) == sum(map(len, used))


def test_a_leg_may_need_more_devices_than_one() -> None:
    found = allocate(make_group(4, 10), [Leg(15), Leg(15)])
    assert [{run.device for run in runs} for runs in found] == [{"disk0", "disk2"}, {"disk1", "disk3"}]


def test_legs_keep_to_what_is_theirs_when_they_grow() -> None:
    group = group_with(Run("disk0", 0, 2), Run("disk1", 0, 2))
    legs = [Leg(2, (Run("disk0", 0, 2),)), Leg(2, (Run("disk1", 0, 2),))]
    assert allocate(group, legs) == [(Run("disk0", 2, 2),), (Run("disk1", 2, 2),)]


def test_only_allocatable_and_named_devices_are_used() -> None:
    group = make_group(3, 10)
    closed = msgspec.structs.replace(group.devices[0], allocatable=False)
    group = replaced(group, devices=(closed, *group.devices[1:]))
    assert allocate(group, [Leg(1)]) == [(Run("disk1", 0, 1),)]
    assert allocate(group, [Leg(1)], devices=[group.devices[2]]) == [(Run("disk2", 0, 1),)]
    with pytest.raises(ExhaustedError):
        allocate(group, [Leg(1)], devices=[closed])


def test_what_is_taken_is_no_room_any_more() -> None:
    room = free_room(group_with(Run("disk0", 4, 1)))
    left = taken(room, [Run("disk0", 6, 2), Run("disk0", 0, 4), Run("disk1", 0, 10)])
    assert left == {"disk0": [(5, 6), (8, 10)], "disk1": [], "disk2": [(0, 10)]}
    assert room["disk0"] == [(0, 4), (5, 10)]


def test_a_policy_that_is_none() -> None:
    with pytest.raises(UsageError):
        allocate(make_group(), [Leg(1)], "inherit")
