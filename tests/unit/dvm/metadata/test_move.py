from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError, RefusedError, UsageError
from drystone.dvm.groups.kinds import Linear, Place, Row, Run, Striped
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.devices import drop_device
from drystone.dvm.metadata.move import abort, begin, finish
from drystone.dvm.reports.live import moved_volumes, observe
from drystone.testing.groups import GroupBench, find, ids, make_group

MIB = 1 << 20


def test_a_move_is_begun_copied_and_ended() -> None:
    bench = GroupBench(make_group())
    group = create(bench.group, Wish("db", 4 * MIB), ids())
    bench.go(group)
    moving = begin(group, "disk0")
    assert find(moving, "db") == Linear(
        uuid=find(group, "db").uuid,
        name="db",
        size=4 * MIB,
        segments=(Run("disk0", 0, 4, Place("disk1", 0)),),
    )
    with pytest.raises(UsageError, match="in use"):
        drop_device(moving, "disk0")
    with pytest.raises(RefusedError, match="not everything"):
        finish(moving, moved_volumes(moving, observe(bench.dm, moving)))
    bench.go(moving)
    assert [line.target for line in bench.dm.table("vg-db")] == ["mirror"]
    done = finish(moving, moved_volumes(moving, observe(bench.dm, moving)))
    bench.go(done)
    assert tuple(find(done, "db").runs()) == (Run("disk1", 0, 4),)
    assert len(drop_device(done, "disk0").devices) == 3


def test_a_move_that_is_given_up_leaves_all_as_it_was() -> None:
    group = create(make_group(), Wish("db", 4 * MIB), ids())
    assert abort(begin(group, "disk0")) == group
    with pytest.raises(UsageError, match="nothing is being moved"):
        abort(group)
    with pytest.raises(UsageError, match="nothing that could be moved"):
        begin(group, "disk3")


def test_the_legs_of_a_stripe_stay_apart_and_rows_are_cut_where_there_is_no_single_room() -> None:
    bench = GroupBench(make_group(3, 8))
    group = create(bench.group, Wish("fill", 2 * MIB, devices=("disk2",)), ids("fill"))
    group = create(group, Wish("hole", 2 * MIB, devices=("disk2",)), ids("hole"))
    group = create(group, Wish("more", 2 * MIB, devices=("disk2",)), ids("more"))
    from drystone.dvm.metadata.remove import remove

    group = remove(group, ["hole"])
    group = create(group, Wish("db", 8 * MIB, 2, 4096), ids(), "striped")
    bench.go(group)
    moving = begin(group, "disk0", volumes=["db"])
    bench.go(moving)
    volume = find(moving, "db")
    assert isinstance(volume, Striped)
    assert volume.rows == (
        Row((Run("disk0", 0, 2, Place("disk2", 2)), Run("disk1", 0, 2))),
        Row((Run("disk0", 2, 2, Place("disk2", 6)), Run("disk1", 2, 2))),
    )
    done = finish(moving, moved_volumes(moving, observe(bench.dm, moving)))
    bench.go(done)
    assert {run.device for run in find(done, "db").runs()} == {"disk1", "disk2"}


def test_the_legs_of_a_raid_set_stay_apart() -> None:
    group = create(make_group(2), Wish("db", MIB), ids(), "raid1")
    with pytest.raises(ExhaustedError, match="other legs"):
        begin(group, "disk0")
    bench = GroupBench(make_group(3))
    group = create(bench.group, Wish("db", MIB), ids(), "raid1")
    bench.go(group)
    moving = begin(group, "disk0")
    bench.go(moving)
    done = finish(moving, moved_volumes(moving, observe(bench.dm, moving)))
    bench.go(done)
    assert {run.device for volume in done.volumes for run in volume.runs()} == {"disk1", "disk2"}


def test_only_some_volumes_move_and_only_where_they_are_allowed_to() -> None:
    group = create(create(make_group(), Wish("db", MIB), ids()), Wish("log", MIB), ids("log"))
    moving = begin(group, "disk0", volumes=["log"], devices=["disk3"])
    assert [run.to for volume in moving.volumes for run in volume.runs()] == [None, Place("disk3", 0)]
    done = finish(moving, None)
    assert next(find(done, "log").runs()) == Run("disk3", 0, 1)
    with pytest.raises(ExhaustedError):
        begin(create(make_group(2, 4), Wish("big", 8 * MIB), ids()), "disk0")
