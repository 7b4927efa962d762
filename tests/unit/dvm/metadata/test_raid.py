from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError, RefusedError, UsageError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import RAID_LEAST, Linear, Raid, Raid1, Raid10
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.move import begin
from drystone.dvm.metadata.raid import (
    add_legs,
    drop_legs,
    legs_on,
    mirror,
    region_size,
    repair,
    settled,
    survives,
    unmirror,
)
from drystone.testing.groups import GroupBench, find, ids, make_group

MIB = 1 << 20


def homes(group: Group, name: str) -> list[set[str]]:
    """The devices of each leg."""
    volume, index = find(group, name), Index(group)
    assert isinstance(volume, Raid)
    return [
        {run.device for uuid in (leg.metadata, leg.data) for run in index.volumes[uuid].runs()} for leg in volume.legs
    ]


def test_a_linear_volume_becomes_the_first_leg_and_keeps_its_extents() -> None:
    bench = GroupBench(make_group())
    group = create(bench.group, Wish("db", 4 * MIB, tags=("hot",)), ids())
    bench.go(group)
    twin = mirror(group, "db", ids("twin"))
    bench.go(twin)
    top, was = find(twin, "db"), find(group, "db")
    assert isinstance(top, Raid1)
    assert (top.uuid, top.tags, top.size) == (was.uuid, ("hot",), was.size)
    below = find(twin, "db:data0")
    assert isinstance(below, Linear)
    assert tuple(below.runs()) == tuple(was.runs())
    assert len(set.union(*homes(twin, "db"))) == 2
    back = unmirror(twin, "db")
    bench.go(back)
    assert back == group


def test_the_other_leg_can_be_kept() -> None:
    group = mirror(create(make_group(), Wish("db", 4 * MIB), ids()), "db", ids("twin"))
    assert next(find(unmirror(group, "db", keep=1), "db").runs()).device == "disk1"
    with pytest.raises(UsageError):
        unmirror(group, "db", keep=2)


def test_what_cannot_be_mirrored() -> None:
    group = create(make_group(2), Wish("two", 4 * MIB, 2), ids(), "striped")
    with pytest.raises(UsageError):
        mirror(group, "two", ids())
    group = create(group, Wish("db", 70 * MIB), ids("db"))
    with pytest.raises(ExhaustedError):
        mirror(group, "db", ids())
    moving = begin(create(make_group(), Wish("db", MIB), ids()), "disk0")
    with pytest.raises(UsageError, match="being moved"):
        mirror(moving, "db", ids())


@pytest.mark.parametrize("kind", ["raid1", "raid5", "raid6", "raid10"])
def test_a_lost_leg_gets_a_new_home_and_is_rebuilt(kind: str) -> None:
    bench = GroupBench(make_group(6))
    group = create(bench.group, Wish("db", 4 * MIB), ids(), kind)
    bench.go(group)
    mended = repair(group, "db", ["disk1"], ids("new"))
    volume = find(mended, "db")
    assert isinstance(volume, Raid)
    assert [leg.rebuild for leg in volume.legs] == [at == 1 for at in range(len(volume.legs))]
    assert "disk1" not in set.union(*homes(mended, "db"))
    assert len(set.union(*homes(mended, "db"))) == len(volume.legs)
    bench.go(mended)
    assert "rebuild 1" in bench.dm.table("vg-db")[0].params
    done = settled(mended, "db")
    bench.go(done)
    assert "rebuild" not in bench.dm.table("vg-db")[0].params
    with pytest.raises(UsageError):
        settled(done, "db")


def test_a_set_that_lost_too_much_is_not_repaired() -> None:
    group = create(make_group(6), Wish("db", 4 * MIB), ids(), "raid5")
    with pytest.raises(RefusedError):
        repair(group, "db", ["disk0", "disk1"], ids())
    with pytest.raises(UsageError, match="no leg"):
        repair(group, "db", ["disk5"], ids())


def test_how_many_legs_can_be_lost() -> None:
    least = {}
    for kind, count in (("raid1", 2), ("raid5", 3), ("raid6", 4)):
        volume = find(create(make_group(4), Wish("db", 4 * MIB), ids(), kind), "db")
        assert isinstance(volume, Raid)
        assert len(volume.legs) == count == RAID_LEAST[type(volume)]
        least[kind] = max(lost for lost in range(count + 1) if survives(volume, range(lost)))
    assert least == {"raid1": 1, "raid5": 1, "raid6": 2}
    ten = find(create(make_group(4), Wish("db", 4 * MIB), ids(), "raid10"), "db")
    assert isinstance(ten, Raid10)
    assert survives(ten, [0, 2])
    assert not survives(ten, [0, 1])


@pytest.mark.parametrize("size", [4096, MIB, 3 * MIB, 1 << 30, 1 << 40, 1 << 50])
def test_regions_fit_into_their_bitmap_with_room_to_grow(size: int) -> None:
    region = region_size(size)
    assert region & (region - 1) == 0
    assert region <= size
    assert size // region <= 1 << 19


def test_a_raid1_gets_legs_on_other_devices_and_they_are_rebuilt() -> None:
    bench = GroupBench(make_group(5))
    group = create(bench.group, Wish("db", 4 * MIB), ids(), "raid1")
    bench.go(group)
    more = add_legs(group, "db", ids("new"), count=2)
    volume = find(more, "db")
    assert isinstance(volume, Raid1)
    assert [leg.rebuild for leg in volume.legs] == [False, False, True, True]
    assert len(set.union(*homes(more, "db"))) == 4
    bench.go(more)
    assert "rebuild 2 rebuild 3" in bench.dm.table("vg-db")[0].params
    with pytest.raises(UsageError, match="being rebuilt"):
        add_legs(more, "db", ids("x"))
    done = settled(more, "db")
    bench.go(done)
    with pytest.raises(ExhaustedError):
        add_legs(done, "db", ids("x"), count=2)


def test_legs_that_stay_move_up_with_their_names() -> None:
    bench = GroupBench(make_group(4))
    group = create(bench.group, Wish("db", 4 * MIB, 3), ids(), "raid1")
    bench.go(group)
    before = homes(group, "db")
    (at,) = legs_on(group, "db", ["disk1"])
    assert before[at] == {"disk1"}
    less = drop_legs(group, "db", [at])
    assert homes(less, "db") == [home for home in before if home != {"disk1"}]
    assert {each.name for each in less.volumes} == {"db", "db:meta0", "db:data0", "db:meta1", "db:data1"}
    bench.go(less)
    bench.go(add_legs(less, "db", ids("more")))
    assert find(bench.group, "db:data2")


def test_which_legs_can_go() -> None:
    group = create(make_group(5), Wish("db", 4 * MIB, 3), ids(), "raid1")
    for which in ([3], [-1]):
        with pytest.raises(UsageError, match="no leg number"):
            drop_legs(group, "db", which)
    with pytest.raises(UsageError, match="would have 1 legs"):
        drop_legs(group, "db", [0, 1])
    with pytest.raises(UsageError, match="no leg of db"):
        legs_on(group, "db", ["disk4"])
    new = repair(repair(group, "db", ["disk1"], ids("a")), "db", ["disk2"], ids("b"))
    volume = find(new, "db")
    assert isinstance(volume, Raid1)
    whole = [at for at, leg in enumerate(volume.legs) if not leg.rebuild]
    assert len(whole) == 1
    with pytest.raises(RefusedError, match="none of the other legs"):
        drop_legs(new, "db", whole)
    other = create(make_group(4), Wish("five", 4 * MIB), ids(), "raid5")
    with pytest.raises(UsageError, match="five is a raid5, no raid1"):
        add_legs(other, "five", ids("x"))
    with pytest.raises(UsageError, match="five is a raid5, no raid1"):
        drop_legs(other, "five", [0])
